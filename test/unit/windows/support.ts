import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import type { TestContext } from 'node:test';
import type { OwnerRecord } from '../../../src/windows/ownerRecords.ts';
import { join, type Membership } from '../../../src/windows/rendezvous.ts';
import { Signal } from '../../support/signal.ts';
import type { Answer, Told } from './windowProcess.ts';

const script = joinPath(import.meta.dirname, 'windowProcess.ts');

/** A temporary folder that goes with the test. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(joinPath(tmpdir(), 'ollama-guard-windows-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
  return folder;
}

export const recordPath = (folder: string, generation: number) => joinPath(folder, `window-${generation}.json`);

export async function readRecord(folder: string, generation: number): Promise<OwnerRecord> {
  return JSON.parse(await readFile(recordPath(folder, generation), 'utf8'));
}

export async function writeRecord(folder: string, generation: number, record: OwnerRecord): Promise<void> {
  await writeFile(recordPath(folder, generation), JSON.stringify(record), { mode: 0o600 });
}

/** Joins in this process; leaves with the test. */
export async function joinHere(t: TestContext, folder: string, protocol = 1): Promise<Membership> {
  const membership = await join({ folder, protocol });
  t.after(() => (membership.role === 'owner' ? membership.close() : membership.channel.close()));
  return membership;
}

export async function ownHere(t: TestContext, folder: string): Promise<Membership & { role: 'owner' }> {
  const membership = await joinHere(t, folder);
  assert.ok(membership.role === 'owner');
  return membership;
}

export async function followHere(t: TestContext, folder: string): Promise<Membership & { role: 'follower' }> {
  const membership = await joinHere(t, folder);
  assert.ok(membership.role === 'follower');
  return membership;
}

/** The pid of a process that has ended. */
export async function deadPid(): Promise<number> {
  const child = fork(script, { execArgv: ['--eval', ''] });
  await once(child, 'exit');
  return child.pid ?? assert.fail();
}

/** A program on a port that is no owner. */
export interface ForeignProgram {
  readonly port: number;
  readonly sockets: readonly Socket[];
  /** All it was told so far. */
  readonly received: () => Buffer;
  readonly changed: Signal;
  close(): void;
}

/** Starts a program that does with a connection what the test says; it ends with the test. */
export async function startForeignProgram(
  t: TestContext,
  onData: (socket: Socket, data: Buffer) => void,
  onConnection: (socket: Socket) => void = () => undefined,
): Promise<ForeignProgram> {
  const sockets: Socket[] = [];
  const chunks: Buffer[] = [];
  const changed = new Signal();
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      chunks.push(data);
      onData(socket, data);
      changed.notify();
    });
    onConnection(socket);
    changed.notify();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  t.after(close);
  const { port } = server.address() as AddressInfo;
  return { port, sockets, received: () => Buffer.concat(chunks), changed, close };
}

/** A window that runs in a process of its own. */
export class WindowProcess {
  readonly #child: ChildProcess;
  readonly #changed: Signal;
  readonly heard: Answer[] = [];
  role: 'owner' | 'follower' | undefined;
  joins = 0;
  looks = 0;
  isRunning = true;

  constructor(changed: Signal, args: readonly string[]) {
    this.#changed = changed;
    this.#child = fork(script, [...args], { execArgv: [] });
    this.#child.on('message', (told: Told) => this.#onTold(told));
    this.#child.on('exit', () => {
      this.isRunning = false;
      changed.notify();
    });
  }

  get pid(): number {
    return this.#child.pid ?? assert.fail('the window has not started');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  say(message: string): void {
    this.#child.send(message);
  }

  #onTold(told: Told): void {
    if ('joined' in told) {
      this.role = told.joined;
      this.joins++;
    } else if ('heard' in told) {
      this.heard.push(told.heard as Answer);
    } else {
      this.looks++;
    }
    this.#changed.notify();
  }
}

/** Several windows that share a folder; killed with the test. */
export class WindowProcesses {
  readonly all: WindowProcess[] = [];
  readonly #changed = new Signal();
  readonly #folder: string;
  /** A test that has run out of time goes on when its windows are killed, and must not open others. */
  #isOver = false;

  constructor(t: TestContext, folder: string) {
    this.#folder = folder;
    t.after(async () => {
      this.#isOver = true;
      for (const window of this.all) window.signal('SIGKILL');
      await this.until(() => this.all.every((window) => !window.isRunning));
    });
  }

  get running(): readonly WindowProcess[] {
    return this.all.filter((window) => window.isRunning);
  }

  open(count: number, ...args: readonly string[]): readonly WindowProcess[] {
    assert.ok(!this.#isOver);
    const opened = Array.from({ length: count }, () => new WindowProcess(this.#changed, [this.#folder, ...args]));
    this.all.push(...opened);
    return opened;
  }

  async until(check: () => boolean): Promise<void> {
    await this.#changed.until(() => check() || undefined);
  }

  async kill(window: WindowProcess): Promise<void> {
    window.signal('SIGKILL');
    await this.until(() => !window.isRunning);
  }

  /** Waits until all that run have joined and have spoken with the owner, of which there is one. */
  async areTogether(): Promise<WindowProcess> {
    await this.until(() => this.running.every((window) => window.role !== undefined));
    const [owner, ...others] = this.running.filter((window) => window.role === 'owner');
    assert.ok(owner !== undefined);
    assert.equal(others.length, 0, 'there are two owners');
    const followers = this.running.filter((window) => window !== owner);
    for (const follower of followers) follower.say(`hello from ${follower.pid}`);
    for (const follower of followers) {
      const answer = { owner: owner.pid, said: `hello from ${follower.pid}` };
      await this.until(() => follower.heard.some((one) => one.owner === answer.owner && one.said === answer.said));
    }
    return owner;
  }

  /** Kills the owner and waits until the rest has found together again. */
  async replace(owner: WindowProcess): Promise<WindowProcess> {
    const survivors = this.running.filter((window) => window !== owner);
    const joins = new Map(survivors.map((window) => [window, window.joins]));
    await this.kill(owner);
    await this.until(() => survivors.every((window) => window.joins > (joins.get(window) ?? 0)));
    return this.areTogether();
  }
}
