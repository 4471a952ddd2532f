import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import { systemErrorCode } from '../guard/errors.ts';
import {
  type Listener,
  type ProcSocket,
  parseLsof,
  parseNetstat,
  parseProcNet,
  parseTasklist,
  processOf,
} from './listenerTables.ts';

const timeoutMs = 3_000;
const maxOutputBytes = 4 * 1024 * 1024;
/** Of `/proc/net/tcp`, where the kernel lists listening sockets first. */
const maxTableBytes = 1024 * 1024;
const maxProcesses = 10_000;
/** Looked at in one process. A server opens the socket it listens on before those of its clients. */
const maxOpenFiles = 1_024;

/** How each system tells who listens. */
const readers: Partial<Record<NodeJS.Platform, (port: number) => Promise<readonly Listener[]>>> = {
  linux: fromProc,
  darwin: fromLsof,
  win32: fromNetstat,
};

/**
 * Who listens on a TCP port of this computer, asked of the system: nothing is sent to the port. Empty when nobody
 * does, and also when it cannot be found out within a few seconds; macOS tells of the user's own programs alone.
 */
export async function listenersOn(port: number): Promise<readonly Listener[]> {
  try {
    return (await readers[process.platform]?.(port)) ?? [];
  } catch {
    return [];
  }
}

async function fromProc(port: number): Promise<readonly Listener[]> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readTable));
  const sockets = tables.flatMap((table) => parseProcNet(table, port));
  const pids = await pidsOf(sockets);
  return Promise.all(
    sockets.map(async ({ address, inode }) => {
      const pid = pids.get(inode);
      return { address, ...processOf(pid, pid === undefined ? '' : await programOf(pid)) };
    }),
  );
}

/** The head of a table; empty where there is none, as without IPv6. */
async function readTable(path: string): Promise<string> {
  try {
    return await text(createReadStream(path, { end: maxTableBytes - 1 }));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return '';
    throw error;
  }
}

/** The processes that hold sockets, by inode, as far as this user may look into them. */
async function pidsOf(sockets: readonly ProcSocket[]): Promise<ReadonlyMap<string, number>> {
  const uid = process.getuid?.();
  const wanted = new Set(sockets.filter((socket) => uid === 0 || socket.uid === uid).map(({ inode }) => inode));
  const found = new Map<string, number>();
  if (wanted.size === 0) return found;
  const deadline = performance.now() + timeoutMs;
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const name of names.slice(0, maxProcesses)) {
    if (found.size === wanted.size || performance.now() > deadline) break;
    for (const inode of await socketsOf(name)) {
      if (wanted.has(inode) && !found.has(inode)) found.set(inode, Number(name));
    }
  }
  return found;
}

/** Inodes of the sockets a process has open; none when it is another user's, or gone. */
async function socketsOf(pid: string): Promise<readonly string[]> {
  const folder = `/proc/${pid}/fd`;
  const files = await readdir(folder).catch(() => []);
  const links = files.slice(0, maxOpenFiles).map((file) => readlink(`${folder}/${file}`).catch(() => ''));
  return (await Promise.all(links)).flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

/** By its file: `comm` is the name of a thread, which Node calls `MainThread`. Empty when there is no telling. */
async function programOf(pid: number): Promise<string> {
  try {
    return basename((await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, ''));
  } catch {
    return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
  }
}

async function fromLsof(port: number): Promise<readonly Listener[]> {
  // +c 0: whole names rather than their first nine letters.
  const options = ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpctn', '+c', '0'];
  return parseLsof(await outputOf('/usr/sbin/lsof', options));
}

async function fromNetstat(port: number): Promise<readonly Listener[]> {
  const listeners = parseNetstat(await outputOf(systemProgram('netstat'), ['-ano']), port);
  return Promise.all(
    listeners.map(async (listener) => {
      const filter = ['/FI', `PID eq ${listener.pid ?? 0}`, '/FO', 'CSV', '/NH'];
      const program = parseTasklist(await outputOf(systemProgram('tasklist'), filter));
      return program === undefined ? listener : { ...listener, program };
    }),
  );
}

/** By its whole path: Windows looks for a bare name in the current folder first. */
function systemProgram(name: string): string {
  return `${process.env.SystemRoot ?? 'C:\\Windows'}\\System32\\${name}.exe`;
}

/** What a program prints; empty when it fails, takes too long or prints too much. */
function outputOf(file: string, args: readonly string[]): Promise<string> {
  const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: maxOutputBytes, windowsHide: true } as const;
  return new Promise((resolve) => {
    execFile(file, args, limits, (error, stdout) => resolve(error === null ? stdout : ''));
  });
}
