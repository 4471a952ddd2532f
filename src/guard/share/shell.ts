import { powershellLiteral } from './quote.ts';

/** Quotes one argument, whatever it holds, for the shell a person pastes it into. */
export type QuoteArgument = (argument: string) => string;

/** A shell a command can be written for. */
export interface Shell {
  /** The name a person knows it by. */
  readonly name: string;
  /** How curl is called there: in Windows PowerShell, plain `curl` is another program. */
  readonly curl: string;
  readonly quote: QuoteArgument;
  /** Gives an environment variable a value. */
  readonly assign: (variable: string, value: string) => string;
  /** Gives an environment variable the value of another one. */
  readonly assignFrom: (variable: string, source: string) => string;
  /** Gives an environment variable the path of a file in the home folder; its name is plain. */
  readonly assignHomeFile: (variable: string, name: string) => string;
  /** Writes a file in the home folder, with lines of a certificate as `pemLines` gives them. */
  readonly writeHomeFile: (name: string, lines: readonly string[]) => string;
  /** What a line begins with that is for people alone. */
  readonly comment: string;
}

// Not with @ in front, which PowerShell takes for splatting.
const plain = /^(?!@)[A-Za-z0-9_./:@-]+$/;

const quoteForBash: QuoteArgument = (argument) =>
  plain.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;

/**
 * The C runtime's rules (CommandLineToArgvW), which curl.exe itself applies: double quotes around, backslashes before a
 * quote doubled. https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
 */
const quoteForWindows: QuoteArgument = (argument) =>
  `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;

/** After a caret, cmd takes any character for itself. */
const caretEach = (text: string) => text.replace(/./gsu, '^$&');

/** cmd cannot hold a line break: what came after one would run as a command. */
const withoutLineBreaks = (text: string) => text.replace(/[\r\n]/g, '');

/**
 * cmd acts on signs outside of its own quoting, which every double quote begins or ends, also one that the program sees
 * escaped: where an argument has both, each character gets a caret. cmd expands %NAME% even inside quotes; a caret
 * outside of them breaks that up, and the backslashes that then stand before a quote are doubled.
 */
const quoteForCmd: QuoteArgument = (argument) => {
  if (plain.test(argument)) return argument;
  const quoted = quoteForWindows(withoutLineBreaks(argument));
  if (argument.includes('"') && /[%&|<>()^!]/.test(argument)) return caretEach(quoted);
  return quoted.replace(/(\\*)%/g, '$1$1"^%"');
};

/** The shells on offer, by id. */
export const shells = {
  bash: {
    name: 'bash',
    curl: 'curl',
    quote: quoteForBash,
    assign: (variable, value) => `export ${variable}=${quoteForBash(value)}`,
    assignFrom: (variable, source) => `export ${variable}="$${source}"`,
    assignHomeFile: (variable, name) => `export ${variable}="$HOME/${name}"`,
    writeHomeFile: (name, lines) => `printf '%s\\n' ${quoteForBash(lines.join('\n'))} > "$HOME/${name}"`,
    comment: '#',
  },
  powershell: {
    name: 'PowerShell',
    curl: 'curl.exe',
    quote: (argument) => (plain.test(argument) ? argument : powershellLiteral(argument)),
    assign: (variable, value) => `$env:${variable} = ${powershellLiteral(value)}`,
    assignFrom: (variable, source) => `$env:${variable} = $env:${source}`,
    // Windows takes this slash as well, and PowerShell runs elsewhere too.
    assignHomeFile: (variable, name) => `$env:${variable} = "$HOME/${name}"`,
    writeHomeFile: (name, lines) =>
      `Set-Content -Encoding ascii -LiteralPath "$HOME/${name}" -Value ${powershellLiteral(lines.join('\n'))}`,
    comment: '#',
  },
  cmd: {
    name: 'cmd',
    curl: 'curl',
    quote: quoteForCmd,
    assign: (variable, value) =>
      `set ${variable}=${/["%&|<>()^!]/.test(value) ? caretEach(withoutLineBreaks(value)) : withoutLineBreaks(value)}`,
    assignFrom: (variable, source) => `set ${variable}=%${source}%`,
    assignHomeFile: (variable, name) => `set ${variable}=%USERPROFILE%\\${name}`,
    // Where to comes first: a digit at the end of a line would be taken for the number of a stream.
    writeHomeFile: (name, lines) =>
      lines.map((line, i) => `${i === 0 ? '>' : '>>'}"%USERPROFILE%\\${name}" echo ${line}`).join('\n'),
    comment: 'rem',
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
