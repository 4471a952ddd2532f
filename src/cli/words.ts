import { type User, whyBarred } from '../guard/identity/users.ts';

/** A time of a record as a person reads it, such as `2026-12-31 14:00 UTC`. */
export function moment(time: string): string {
  return `${time.slice(0, 16).replace('T', ' ')} UTC`;
}

/**
 * Why a user is let in nowhere, in a sentence; undefined when nothing stands in the way.
 *
 * @param at now, in milliseconds since the epoch.
 */
export function barredWords(user: User, at: number): string | undefined {
  switch (whyBarred(user, at)) {
    case 'disabled':
      return `${user.name} is disabled.`;
    case 'expired':
      return `${user.name}'s access ended ${moment(user.expiresAt ?? '')}.`;
    case undefined:
      return undefined;
  }
}

/** The commands that let a user in again whom `barredWords` is about. */
export function lettingIn({ name, disabled }: User): string {
  return disabled ? `ollama-guard user enable ${name}` : `ollama-guard user set ${name} --no-expiry`;
}

const byteUnits = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A size in the largest unit that it is whole in, such as `64 GiB`. */
export function sizeWords(bytes: number): string {
  const power = bytes === 0 ? 0 : byteUnits.findLastIndex((_unit, i) => bytes % 1024 ** i === 0);
  return `${bytes / 1024 ** power} ${byteUnits[power]}`;
}

const durationUnits = [
  ['w', 604_800_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** A duration as policy.json takes it, such as `10m`; `0` for none. */
export function durationText(milliseconds: number): string {
  const [unit, unitMs] = durationUnits.find(([, ms]) => milliseconds % ms === 0) ?? ['s', 1_000];
  return milliseconds === 0 ? '0' : `${milliseconds / unitMs}${unit}`;
}

/** What is said where no user is. */
export const noUserYet = 'There is no user yet. Add one: ollama-guard user add NAME';
