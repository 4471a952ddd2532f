/** Where a command reads and writes; replaced in tests. */
export interface Terminal {
  /** What a script would take: answers and secrets. */
  out(line: string): void;
  /** What is said to a person. */
  say(line: string): void;
  /** How wide it is, in characters, where a person reads what is said; undefined when a file or a program does. */
  readonly columns: number | undefined;
  /** All of standard input. */
  readInput(): Promise<string>;
}

/** The process's own standard streams. */
export const processTerminal: Terminal = {
  out: (line) => void process.stdout.write(`${line}\n`),
  say: (line) => void process.stderr.write(`${line}\n`),
  columns: process.stderr.isTTY ? process.stderr.columns : undefined,
  async readInput() {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString('utf8');
  },
};

/**
 * Lets a command go on to its end, and to its exit code, when whoever reads what it prints has gone: `… | head -1`. What
 * is under way, such as a change of a file, is not left half done.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** The password on standard input: all of it but one line end. */
export async function readPassword(terminal: Terminal): Promise<string> {
  return (await terminal.readInput()).replace(/\r?\n$/, '');
}
