/** What the placeholders of a message stand for. */
export type MessageArguments = Readonly<Record<string, string | number>>;

/**
 * A sentence for a person as data: English with `{name}` placeholders, which is also the key of its translations. It
 * crosses threads and windows and is put into words where it is shown.
 */
export interface Message {
  readonly text: string;
  readonly args: MessageArguments;
}

/** The English words of a message. */
export function inEnglish({ text, args }: Message): string {
  return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => String(args[name] ?? placeholder));
}
