/** Quotes one argument, whatever it holds, for the shell a person pastes it into. */
export type QuoteArgument = (argument: string) => string;

/** A shell a command can be written for. */
export interface Shell {
  /** The name a person knows it by. */
  readonly name: string;
  /** How curl is called there: in Windows PowerShell, plain `curl` is another program. */
  readonly curl: string;
  readonly quote: QuoteArgument;
}

const plain = /^[A-Za-z0-9_./:@-]+$/;

/**
 * The C runtime's rules (CommandLineToArgvW), which curl.exe itself applies: double quotes around, backslashes before a
 * quote doubled. https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
 */
const quoteForWindows: QuoteArgument = (argument) =>
  `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;

/** The shells on offer, by id. */
export const shells = {
  bash: {
    name: 'bash',
    curl: 'curl',
    quote: (argument) => (plain.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`),
  },
  powershell: {
    name: 'PowerShell',
    curl: 'curl.exe',
    quote: (argument) => (plain.test(argument) ? argument : `'${argument.replaceAll("'", "''")}'`),
  },
  // cmd expands %NAME% even inside quotes; a caret outside of them breaks that up.
  cmd: {
    name: 'cmd',
    curl: 'curl',
    quote: (argument) => (plain.test(argument) ? argument : quoteForWindows(argument).replaceAll('%', '"^%"')),
  },
} as const satisfies Record<string, Shell>;

/** The id of a shell. */
export type ShellId = keyof typeof shells;

/** Every shell's id, in the order of the pick list. */
export const shellIds = Object.keys(shells) as readonly ShellId[];

/** The shell a person on this platform most likely pastes into. */
export function defaultShell(platform: NodeJS.Platform): ShellId {
  return platform === 'win32' ? 'powershell' : 'bash';
}
