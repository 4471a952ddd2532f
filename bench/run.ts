/**
 * `npm run bench`: the budgets of Ollama Guard, measured beside Caddy and nginx in front of the same upstream.
 * `npm run bench -- --help` says what it takes; bench/README.md how to read what it writes.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { installPeers } from './install.ts';
import { describeMachine, noisyShare, pinSelf } from './machine.ts';
import { type Options, readOptions, usage } from './options.ts';
import { Processes } from './processes.ts';
import { type ProfileSummary, profileGuard } from './profile.ts';
import { Proxies } from './proxies.ts';
import { type Outcome, type Run, summary, writeReport } from './report.ts';
import { type Bench, judge, type Row } from './row.ts';
import { activation } from './rows/activation.ts';
import { coldClients } from './rows/coldClients.ts';
import { connector } from './rows/connector.ts';
import { handshakes } from './rows/handshakes.ts';
import { hostDelay } from './rows/hostDelay.ts';
import { memory } from './rows/memory.ts';
import { policy } from './rows/policy.ts';
import { requests } from './rows/requests.ts';
import { sizes } from './rows/sizes.ts';
import { streams } from './rows/streams.ts';
import { tlsRequests } from './rows/tlsRequests.ts';
import { tlsStreams } from './rows/tlsStreams.ts';
import { users } from './rows/users.ts';
import { wrongPasswords } from './rows/wrongPasswords.ts';
import { median } from './stats.ts';
import { startUpstream } from './upstreamProcess.ts';

/** In the order of design.md, and last what has no budget there. */
const rows: readonly Row[] = [
  requests,
  coldClients,
  wrongPasswords,
  streams,
  hostDelay,
  memory,
  users,
  handshakes,
  tlsRequests,
  tlsStreams,
  connector,
  policy,
  sizes,
  activation,
];

/** No row may keep the others waiting for longer, and no run a person. */
const rowLimitMs = 150_000;
const runLimitMs = 1_200_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const processes = new Processes();
const interrupted = new AbortController();

process.on('exit', () => processes.endAll());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) process.exit(130);
    say('Stopping.');
    interrupted.abort();
    processes.endAll();
  });
}

/** All output is progress; the result is in the report. */
function say(line: string): void {
  console.log(line);
}

async function main(options: Options): Promise<number> {
  const started = performance.now();
  const chosen = rows.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
  const cli = resolve(options.guard ?? join(root, 'dist/cli.js'));
  if (options.install) await installPeers(processes, say);
  const guard = existsSync(cli);
  if (!guard) say(`There is no ${relative(root, cli)}: everything but the guard is measured.`);
  const old = guard && options.guard === undefined && (await isOldBuild(cli));
  if (old) say('The build is older than the sources: npm run build.');

  const machine = describeMachine(root);
  pinSelf(machine.loadCore);
  if (machine.loadBefore > 0.5) say(`Other programs are busy here (load average ${machine.loadBefore.toFixed(2)}).`);
  const upstream = await startUpstream(processes, machine.loadCore);
  const proxies = await Proxies.prepare({ processes, upstream, core: machine.proxyCore, cli, guard });
  const bench = {
    quick: options.quick,
    install: options.install,
    signal: interrupted.signal,
    machine,
    processes,
    upstream,
    proxies,
    disturbance: [],
    say,
  };

  const outcomes: Outcome[] = [];
  for (const row of chosen) {
    say(`${row.name}: ${row.title}`);
    outcomes.push(await measureRow(row, bench));
  }
  const profiles = await takeProfiles(bench, options, outcomes);
  const partial = whyPartial(options, guard, old);
  const seconds = (performance.now() - started) / 1000;
  const run: Run = { when: new Date(), seconds, machine, outcomes, profiles, partial };
  const folder = fileURLToPath(new URL(partial === undefined ? '.' : 'out/', import.meta.url));
  await mkdir(folder, { recursive: true });
  await writeReport(folder, run);
  say('');
  for (const line of summary(run)) say(line);
  say(`\n${relative(root, folder) || '.'}/REPORT.md, after ${seconds.toFixed(0)} s.`);
  return guard && outcomes.every(({ failure }) => failure === undefined) ? 0 : 1;
}

async function measureRow(row: Row, bench: Bench): Promise<Outcome> {
  const limitMs = Math.floor(Math.min(rowLimitMs, runLimitMs - performance.now()));
  const signal = AbortSignal.any([AbortSignal.timeout(Math.max(0, limitMs)), bench.signal]);
  const late = new Promise<never>((_, reject) => {
    const stop = (): void => reject(new Error(limitMs < rowLimitMs ? 'out of time' : `over ${rowLimitMs / 1000} s`));
    if (limitMs <= 0) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
  const endStarted = processes.mark();
  const disturbance: number[] = [];
  const measuring = limitMs <= 0 ? late : row.measure({ ...bench, signal, disturbance });
  try {
    const measurement = await Promise.race([measuring, late]);
    return { row, measurement, failure: undefined, others: median(disturbance) };
  } catch (error) {
    interrupted.signal.throwIfAborted();
    const failure = error instanceof Error ? error.message : String(error);
    say(`  not measured: ${failure}`);
    // What it has left running must not disturb the next row; without its proxies it comes to an end.
    endStarted();
    await Promise.race([measuring.catch(() => undefined), sleep(5000)]);
    endStarted();
    return { row, measurement: undefined, failure, others: median(disturbance) };
  }
}

/** A missed budget has to say where the time goes. */
async function takeProfiles(bench: Bench, options: Options, outcomes: readonly Outcome[]): Promise<ProfileSummary[]> {
  if (!bench.proxies.kinds.includes('guard')) return [];
  const missed = outcomes.filter(({ row, measurement, others }) =>
    row.budgets.some(
      (budget) => judge(budget, measurement?.samples[budget.name] ?? [], others > noisyShare).status === 'missed',
    ),
  );
  const loads = new Set(
    [...(options.profile ? outcomes : options.quick ? [] : missed)].flatMap(({ row }) => row.profile ?? []),
  );
  const profiles: ProfileSummary[] = [];
  for (const load of loads) {
    say(`profile: ${load}`);
    try {
      profiles.push(await profileGuard(bench, load, options.guard === undefined));
    } catch (error) {
      interrupted.signal.throwIfAborted();
      const failure = error instanceof Error ? error.message : String(error);
      say(`  no profile: ${failure}`);
      profiles.push({ load, failure, threads: [] });
    }
  }
  return profiles;
}

/** `npm run bench` builds first; a direct start may find an old build. */
async function isOldBuild(cli: string): Promise<boolean> {
  const built = (await stat(cli)).mtimeMs;
  const sources = await readdir(join(root, 'src'), { recursive: true });
  const changed = await Promise.all(sources.map(async (name) => (await stat(join(root, 'src', name))).mtimeMs));
  return Math.max(...changed) > built;
}

function whyPartial({ quick, only, guard: other }: Options, guard: boolean, old: boolean): string | undefined {
  if (!guard) return 'the guard was not there';
  if (old) return 'the build is older than the sources';
  if (quick) return 'a smoke run (--quick)';
  if (only.length > 0) return `these rows alone: ${only.join(', ')}`;
  return other === undefined ? undefined : 'another build was measured (--guard)';
}

/** Undefined, with the reason on stderr, when the command line makes no sense. */
function parseOptions(): Options | undefined {
  try {
    return readOptions(
      process.argv.slice(2),
      rows.map(({ name }) => name),
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return undefined;
  }
}

const options = parseOptions();
if (options === undefined) process.exit(2);
if (options.help) {
  console.log(usage(rows.map(({ name }) => name)));
  process.exit();
}
try {
  process.exit(await main(options));
} catch (error) {
  if (interrupted.signal.aborted) process.exit(130);
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
