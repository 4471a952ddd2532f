import { inEnglish, type Message, type MessageArguments } from './message.ts';

/**
 * What can go wrong outside a request: starting, stopping, editing users. The text is for a person and says what to do.
 * Code matches on `code`, never on the text.
 */
export type GuardErrorCode =
  | 'address-in-use'
  | 'address-not-available'
  | 'address-not-permitted'
  | 'certificate-invalid'
  | 'certificate-refused'
  | 'certificate-unavailable'
  | 'config-invalid'
  | 'data-damaged'
  | 'data-unavailable'
  | 'endpoint-unreachable'
  | 'invite-refused'
  | 'invite-unknown'
  | 'joined-unknown'
  | 'key-unknown'
  | 'link-invalid'
  | 'no-users'
  | 'other-version'
  | 'password-invalid'
  | 'policy-invalid'
  | 'public-key-invalid'
  | 'public-key-unknown'
  | 'thread-died'
  | 'user-exists'
  | 'user-invalid'
  | 'user-unknown'
  | 'window-gone';

/** An expected failure with a sentence for the person in front of it. */
export class GuardError extends Error {
  readonly code: GuardErrorCode;
  /** The sentence as data, for whoever shows it in another language. */
  readonly detail: Message;

  /** @param text English, with `{name}` placeholders for `args`. */
  constructor(code: GuardErrorCode, text: string, options: ErrorOptions & { readonly args?: MessageArguments } = {}) {
    const detail = { text, args: options.args ?? {} };
    super(inEnglish(detail), options);
    this.name = 'GuardError';
    this.code = code;
    this.detail = detail;
  }

  /** Whether `error` is a GuardError, of that code when one is given. */
  static is(error: unknown, code?: GuardErrorCode): error is GuardError {
    return error instanceof GuardError && (code === undefined || error.code === code);
  }
}

/** The `code` of a Node system error (`ECONNREFUSED`, `ENOENT`, …), if it has one. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
