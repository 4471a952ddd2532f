import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';

/** How a child is started. */
export interface StartOptions {
  /** Pins the child, and what it starts, to this core. */
  readonly core?: number | undefined;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Given to its stdin, which is then closed. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Opens a channel for messages; see ask.ts. */
  readonly channel?: boolean;
}

/** A started child that keeps running. */
export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** The end of what it wrote to stderr. */
  complaint(): string;
  /** SIGTERM, then SIGKILL for its process group after `patienceMs`. */
  stop(patienceMs?: number): Promise<void>;
}

/**
 * The one owner of every child process and temporary folder. Each child leads its own process group, so that Ctrl+C in
 * the terminal reaches this process alone, and ending a child ends what it has started, and nothing else.
 */
export class Processes {
  readonly #alive = new Set<ChildProcess>();
  readonly #folders: string[] = [];
  #home: string | undefined;

  /** A private folder that is removed at the end. */
  async folder(name: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), `guard-bench-${name}-`));
    this.#folders.push(folder);
    return folder;
  }

  /** Starts a child that keeps running; its stdout is a pipe, its stderr a file. */
  async start(command: string, args: readonly string[], options: StartOptions = {}): Promise<Running> {
    const errors = join(await this.folder('log'), 'stderr');
    const file = openSync(errors, 'w');
    const channel = options.channel === true ? (['ipc'] as const) : [];
    const child = await this.#spawn(command, args, options, ['ignore', 'pipe', file, ...channel]);
    closeSync(file);
    const { pid } = child;
    if (pid === undefined) throw new Error(`${command} could not be started.`);
    return {
      pid,
      child,
      complaint: () => readFileSync(errors, 'utf8').trim().slice(-600),
      stop: (patienceMs = 3000) => stop(child, patienceMs),
    };
  }

  /** Runs a child to its end and answers its stdout; rejects with its stderr when it fails. */
  async run(command: string, args: readonly string[], options: StartOptions = {}): Promise<string> {
    const child = await this.#spawn(command, args, options, ['pipe', 'pipe', 'pipe']);
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) throw new Error('unreachable: the child has pipes');
    stdin.on('error', () => undefined);
    stdin.end(options.input ?? '');
    const timer = setTimeout(() => killGroup(child), options.timeoutMs ?? 30_000);
    const [out, err] = await Promise.all([text(stdout), text(stderr), ended(child)]);
    clearTimeout(timer);
    if (child.exitCode !== 0) {
      const reason = err.trim() || out.trim() || `ended by ${child.signalCode ?? `code ${child.exitCode}`}`;
      throw new Error(`${command} ${args[0] ?? ''}: ${reason.slice(-600)}`);
    }
    return out;
  }

  /** Remembers who runs now; the answer ends at once whoever has been started since. */
  mark(): () => void {
    const before = new Set(this.#alive);
    return () => {
      for (const child of this.#alive) if (!before.has(child)) killGroup(child);
    };
  }

  /** Ends every child at once and removes the folders. Safe to call from an `exit` handler. */
  endAll(): void {
    for (const child of this.#alive) killGroup(child);
    this.#alive.clear();
    for (const folder of this.#folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }

  async #spawn(
    command: string,
    args: readonly string[],
    options: StartOptions,
    stdio: ('ignore' | 'pipe' | 'ipc' | number)[],
  ): Promise<ChildProcess> {
    this.#home ??= await this.folder('home');
    const pinned = options.core === undefined ? [] : ['taskset', '-c', String(options.core)];
    const [file = command, ...rest] = [...pinned, command, ...args];
    const child = spawn(file, rest, {
      detached: true,
      stdio,
      // Nobody's proxy settings, NODE_OPTIONS or Caddy storage may change what is measured.
      env: { PATH: searchPath, LANG: 'C.UTF-8', HOME: this.#home, XDG_DATA_HOME: this.#home, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.#alive.add(child);
    child.once('exit', () => this.#alive.delete(child));
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error as Error))]);
    return child;
  }
}

/** Debian keeps nginx where only root looks. */
export const searchPath = [process.env.PATH ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter);

/** Is this program installed? */
export function hasProgram(name: string): boolean {
  return searchPath.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

async function stop(child: ChildProcess, patienceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => killGroup(child), patienceMs);
  await ended(child);
  clearTimeout(timer);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}
