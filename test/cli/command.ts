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
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [cli, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
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
export async function ollamaGuard(args: readonly string[], input = ''): Promise<Outcome> {
  const child = start(args);
  const printed = collect(child);
  child.stdin?.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...printed };
}

/** An `ollama-guard` that keeps running. */
export interface Running {
  /** What it has printed so far. */
  readonly printed: { readonly out: string; readonly err: string };
  /** Waits for a line on stdout; what its pattern's first group holds. */
  line(pattern: RegExp): Promise<string>;
  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Starts `ollama-guard` and leaves it running; it is killed with the test. */
export function keepRunning(t: TestContext, args: readonly string[]): Running {
  const child = start(args);
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
  };
}
