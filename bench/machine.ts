import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { hasProgram, searchPath } from './processes.ts';

/** What was measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  /** Programs beside the guard and their versions; `undefined` when missing. */
  readonly programs: Readonly<Record<string, string | undefined>>;
  readonly commit: string;
  /** The load average of one minute before anything was started. */
  readonly loadBefore: number;
  /** The core of the proxies and the core of load and upstream; `undefined` where nothing can be pinned. */
  readonly proxyCore: number | undefined;
  readonly loadCore: number | undefined;
}

/** Looks at the machine. */
export function describeMachine(root: string): Machine {
  const allowed = allowedCores();
  const pin = hasProgram('taskset') && allowed.length > 0;
  return {
    cpu: cpus()[0]?.model.trim() ?? arch(),
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    system: `${distribution()}, ${platform()} ${release()}, ${arch()}`,
    node: process.version,
    programs: {
      caddy: version('caddy', ['version'], /^v?(\d+\.\d+\.\d+)/m),
      nginx: version('nginx', ['-v'], /nginx\/([\d.]+)/),
      wrk: version('wrk', ['--version'], /wrk (\S+)/),
    },
    commit: commit(root),
    loadBefore: loadavg()[0] ?? 0,
    proxyCore: pin ? allowed[0] : undefined,
    loadCore: pin ? (allowed[1] ?? allowed[0]) : undefined,
  };
}

/** Moves this process, and what it starts unless told otherwise, to one core. */
export function pinSelf(core: number | undefined): void {
  if (core === undefined) return;
  execFileSync('taskset', ['-a', '-c', '-p', String(core), String(process.pid)], { stdio: 'ignore' });
}

/** Ticks of one core since boot. */
export interface CoreTime {
  readonly busy: number;
  readonly stolen: number;
  readonly total: number;
}

/** `undefined` where there is no /proc. */
export function coreTime(core: number | undefined): CoreTime | undefined {
  if (core === undefined) return undefined;
  const line = proc('/proc/stat')
    .split('\n')
    .find((text) => text.startsWith(`cpu${core} `));
  if (line === undefined) return undefined;
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, stolen = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user + nice + system + irq + softirq;
  return { busy, stolen, total: busy + idle + wait + stolen };
}

/** Shares (0 to 1) of a core between two readings. */
export function coreShare(before: CoreTime | undefined, after: CoreTime | undefined): { busy: number; stolen: number } {
  if (before === undefined || after === undefined) return { busy: Number.NaN, stolen: Number.NaN };
  const total = Math.max(1, after.total - before.total);
  return { busy: (after.busy - before.busy) / total, stolen: (after.stolen - before.stolen) / total };
}

/** CPU time in ms that a process and its children have used; `NaN` where there is no /proc. */
export function cpuTime(pid: number): number {
  let ticks = 0;
  for (const each of family(pid)) {
    const fields = statFields(each);
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 10;
}

/** What the two cores have done so far, in ms of CPU time: in all, and for this process and everything it has started. */
export interface Spending {
  readonly possible: number;
  readonly busy: number;
  readonly own: number;
}

/** `NaN` where nothing is pinned. */
export function spending({ proxyCore, loadCore }: Pick<Machine, 'proxyCore' | 'loadCore'>): Spending {
  const cores = [...new Set([proxyCore, loadCore])].map(coreTime);
  let own = 0;
  for (const each of family(process.pid)) {
    const fields = statFields(each);
    // Its own time and that of children that have ended.
    for (const index of [11, 12, 13, 14]) own += Number(fields[index] ?? 0);
  }
  const sum = (pick: (core: CoreTime) => number): number =>
    cores.reduce((total, core) => total + (core === undefined ? Number.NaN : pick(core)), 0) * 10;
  return { possible: sum(({ total }) => total), busy: sum(({ busy, stolen }) => busy + stolen), own: own * 10 };
}

/** When others take a greater share of the two cores, they may decide what is measured. */
export const noisyShare = 0.1;

/** The share (0 to 1) of those cores that others took meanwhile, other virtual machines included. */
export function othersShare(before: Spending, after: Spending): number {
  const others = after.busy - before.busy - (after.own - before.own);
  return Math.max(0, others / (after.possible - before.possible));
}

/** Resident memory in bytes of a process and its children; `NaN` where there is no /proc. */
export function residentMemory(pid: number): number {
  let total = 0;
  for (const each of family(pid)) {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(proc(`/proc/${each}/status`)) ?? [];
    total += Number(kilobytes) * 1024;
  }
  return total;
}

/** The fields from "state" on, which come after the command in parentheses: that may hold spaces. */
function statFields(pid: number): string[] {
  return proc(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
}

function family(pid: number): number[] {
  const children: number[] = [];
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      children.push(...proc(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number));
    }
  } catch {
    // Not Linux, or it has ended: the reading of `pid` itself will say so.
  }
  return [pid, ...children.flatMap(family)];
}

function allowedCores(): number[] {
  const [, list = ''] = /^Cpus_allowed_list:\s*(\S+)/m.exec(proc('/proc/self/status')) ?? [];
  return list
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, step) => first + step);
    });
}

function proc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function distribution(): string {
  return /^PRETTY_NAME="?([^"\n]+)/m.exec(proc('/etc/os-release'))?.[1] ?? platform();
}

function version(program: string, args: string[], pattern: RegExp): string | undefined {
  if (!hasProgram(program)) return undefined;
  // wrk prints its version and fails; nginx prints it on stderr.
  let output = '';
  try {
    output = execFileSync('sh', ['-c', '"$0" "$@" 2>&1 || true', program, ...args], {
      encoding: 'utf8',
      env: { PATH: searchPath },
    });
  } catch {
    return 'unknown';
  }
  return pattern.exec(output)?.[1] ?? 'unknown';
}

function commit(root: string): string {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '--', 'src', 'package-lock.json', 'esbuild.mjs') !== '';
    return git('rev-parse', '--short', 'HEAD') + (changed ? ' with changes' : '');
  } catch {
    return 'not committed';
  }
}
