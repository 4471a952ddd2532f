/** A time of a record as a person reads it, such as `2026-12-31 14:00 UTC`. */
export function moment(time: string): string {
  return `${time.slice(0, 16).replace('T', ' ')} UTC`;
}

/** Such as `1 API key` and `2 API keys`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
