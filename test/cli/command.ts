import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const cli = join(import.meta.dirname, '..', '..', 'dist', 'cli.js');

/** How a command ended and what it printed. */
export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A temporary folder that goes with the test. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ollama-guard-cli-'));
  // Programs that are about to be killed still write.
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
  return folder;
}

/** A program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]];

function shipped(args: readonly string[]): CommandLine {
  return [process.execPath, cli, ...args];
}

function start([program, ...args]: CommandLine): ChildProcess {
  return spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
}

function collect(child: ChildProcess): { out: string; err: string } {
  const printed = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed.out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    printed.err += text;
  });
  return printed;
}

/** Runs `ollama-guard` as it ships until it ends. */
export function ollamaGuard(args: readonly string[], input = ''): Promise<Outcome> {
  return runProgram(shipped(args), input);
}

/** Runs a program until it ends. */
export async function runProgram(line: CommandLine, input = ''): Promise<Outcome> {
  const child = start(line);
  const printed = collect(child);
  child.stdin?.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...printed };
}

/** A program that keeps running. */
export interface Running {
  /** What it has printed so far. */
  readonly printed: { readonly out: string; readonly err: string };
  /** Waits for a line on stdout; what its pattern's first group holds. */
  line(pattern: RegExp): Promise<string>;
  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  /** Its exit code, once it has ended by itself. */
  readonly ended: Promise<number | null>;
}

/** Starts `ollama-guard` as it ships and leaves it running; it is killed with the test. */
export function keepRunning(t: TestContext, args: readonly string[], input?: string): Running {
  return keepProgram(t, shipped(args), input);
}

/** Starts a program and leaves it running; it is killed with the test. */
export function keepProgram(t: TestContext, line: CommandLine, input?: string): Running {
  const child = start(line);
  if (input !== undefined) child.stdin?.end(input);
  const printed = collect(child);
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  t.after(() => child.kill('SIGKILL'));
  return {
    printed,
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(printed.out);
          if (match !== null) resolve(match[1] ?? match[0]);
        };
        child.stdout?.on('data', look);
        void closed.then((code) => reject(new Error(`ended with ${code}: ${printed.err}`)));
        look();
      }),
    end: (signal) => {
      child.kill(signal);
      return closed;
    },
    ended: closed,
  };
}
