import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { get, readStreams } from './clients.ts';
import { microseconds } from './clock.ts';
import { connectAgain } from './connections.ts';
import { saturate, target } from './load.ts';
import type { RunningProxy } from './proxies.ts';
import { signIn } from './rounds.ts';
import type { Bench, Row } from './row.ts';
import { policyFolder, policyTarget } from './rows/policy.ts';
import { streamLoad } from './rows/streams.ts';

type Load = NonNullable<Row['profile']>;

interface Share {
  readonly name: string;
  /** Of the thread's busy time, 0 to 1. */
  readonly share: number;
}

/** Where one thread spent its time. */
export interface ThreadProfile {
  readonly name: string;
  readonly busyMs: number;
  readonly areas: readonly Share[];
  readonly functions: readonly Share[];
}

/** What the guard did under one load. */
export interface ProfileSummary {
  readonly load: Load;
  /** Why there is none. */
  readonly failure?: string;
  readonly threads: readonly ThreadProfile[];
}

const root = new URL('../', import.meta.url);
const profiles = new URL('profiles/', import.meta.url);

const loads: Readonly<Record<Load, (bench: Bench, proxy: RunningProxy) => Promise<unknown>>> = {
  requests: (bench, proxy) => saturate(bench, target(proxy), bench.quick ? 2 : 5),
  streams: (bench, proxy) => readStreams(proxy, { ...streamLoad, records: bench.quick ? 40 : 100 }),
  cold: (_bench, proxy) => Promise.all(Array.from({ length: 32 }, () => get(proxy.url, proxy.authorization))),
  handshakes: (bench, proxy) => connectAgain(bench, proxy, 'full', bench.quick ? 2 : 5),
  'tls-requests': (bench, proxy) => saturate(bench, target(proxy), bench.quick ? 2 : 5),
  policy: (bench, proxy) => saturate(bench, policyTarget(proxy), bench.quick ? 2 : 5),
};

const encrypted: ReadonlySet<Load> = new Set<Load>(['handshakes', 'tls-requests']);

/** Runs the guard under a load with Node's own profiler and sums up where its threads spent their time. */
export async function profileGuard(bench: Bench, load: Load, build: boolean): Promise<ProfileSummary> {
  const folder = fileURLToPath(new URL(`${load}/`, profiles));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  // The threads take their own options; NODE_OPTIONS reaches them all. Each writes its profile when it ends.
  const env = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${JSON.stringify(folder)}` };
  const proxy = await bench.proxies.start('guard', {
    env,
    tls: encrypted.has(load),
    ...(load === 'policy' && { data: await policyFolder(bench, { concurrency: 1_024 }) }),
    cli: build ? await readableBuild(await bench.processes.folder('build')) : bench.proxies.cli,
  });
  let from = 0;
  let to = 0;
  try {
    if (load !== 'cold') await signIn(proxy);
    from = microseconds();
    await loads[load](bench, proxy);
    to = microseconds();
  } finally {
    await proxy.stop(15_000);
  }
  const threads: ThreadProfile[] = [];
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile')).sort()) {
    threads.push(await summarise(join(folder, file), from, to));
  }
  threads.sort((a, b) => b.busyMs - a.busyMs);
  const worthwhile = (threads[0]?.busyMs ?? 0) / 10;
  return { load, threads: threads.filter(({ busyMs }) => busyMs > worthwhile) };
}

/** The shipped bundles, but with names: minified ones say nothing in a profile. */
async function readableBuild(folder: string): Promise<string> {
  const { build } = await import('esbuild');
  const { bundles } = (await import(new URL('esbuild.mjs', root).href)) as { bundles: Parameters<typeof build>[0][] };
  const wanted = bundles.filter(({ entryPoints }) => !JSON.stringify(entryPoints).includes('extension'));
  await writeFile(join(folder, 'package.json'), '{"type":"module","version":"0.0.0"}');
  await mkdir(join(folder, 'dist'));
  for (const bundle of wanted) {
    await build({
      ...bundle,
      absWorkingDir: fileURLToPath(root),
      outdir: join(folder, 'dist'),
      minify: false,
      sourcemap: 'linked',
      sourcesContent: false,
    });
  }
  return join(folder, 'dist', 'cli.js');
}

/** The part of the format that is used: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number };
  }[];
  /** Microseconds on the clock of clock.ts. */
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Counts what happened between two moments: not how the guard started. */
async function summarise(file: string, from: number, to: number): Promise<ThreadProfile> {
  const { nodes, startTime, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8')) as CpuProfile;
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<CpuProfile['nodes'][number]['callFrame'], number>();
  let now = startTime;
  samples.forEach((id, index) => {
    const frame = frames.get(id);
    const delta = timeDeltas[index] ?? 0;
    now += delta;
    if (frame !== undefined && now >= from && now <= to) times.set(frame, (times.get(frame) ?? 0) + delta);
  });
  const areas = new Map<string, number>();
  const functions = new Map<string, number>();
  const scripts = new Set<string>();
  const maps = new Map<string, SourceMap | undefined>();
  let busy = 0;
  for (const [frame, microseconds] of times) {
    if (frame.functionName === '(idle)') continue;
    const { module, line } = await locate(frame, maps);
    const name = frame.functionName || '(anonymous)';
    const label = module === '' ? name : `\`${name}\` ${module}${line > 0 ? `:${line}` : ''}`;
    busy += microseconds;
    const area = areaOf(module, name);
    areas.set(area, (areas.get(area) ?? 0) + microseconds);
    functions.set(label, (functions.get(label) ?? 0) + microseconds);
    if (frame.url.startsWith('file:')) scripts.add(basename(frame.url));
  }
  const thread = ['guardThread', 'hashThread'].find((entry) => [...scripts].some((script) => script.startsWith(entry)));
  return {
    name: { guardThread: 'guard thread', hashThread: 'hash thread' }[thread ?? ''] ?? 'host thread (command line)',
    busyMs: busy / 1000,
    areas: top(areas, busy, 12),
    functions: top(functions, busy, 15),
  };
}

/** Coarse enough to be read at a glance. */
function areaOf(module: string, name: string): string {
  if (module.startsWith('src/')) return 'the guard itself (src)';
  if (module.startsWith('node:')) {
    if (module.includes('crypto')) return 'Node: crypto';
    if (module.includes('http')) return 'Node: http';
    return /net|stream|events|tls/.test(module) ? 'Node: sockets, streams, events' : 'Node: other';
  }
  if (module === '') return /^(read|write|shutdown)/.test(name) ? 'socket calls' : 'native code, garbage collector';
  return module.startsWith('dist/')
    ? module
    : module
        .split('/')
        .slice(0, module.startsWith('@') ? 2 : 1)
        .join('/');
}

function top(times: ReadonlyMap<string, number>, total: number, count: number): Share[] {
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, time]) => ({ name, share: time / total }));
}

/** The module of the source, not of the bundle: `http-proxy/lib/…`, `src/guard/…`, `node:http`. */
async function locate(
  { url, lineNumber, columnNumber }: CpuProfile['nodes'][number]['callFrame'],
  maps: Map<string, SourceMap | undefined>,
): Promise<{ module: string; line: number }> {
  if (!url.startsWith('file:')) return { module: url, line: url === '' ? 0 : lineNumber + 1 };
  if (!maps.has(url)) maps.set(url, await sourceMap(url));
  const entry = maps.get(url)?.findEntry(lineNumber, columnNumber);
  const mapped = entry !== undefined && 'originalSource' in entry;
  const source = mapped ? new URL(entry.originalSource, url).pathname : fileURLToPath(url);
  const [, packaged] = /.*\/node_modules\/(.*)/.exec(source) ?? [];
  const [, own] = /.*(\/(?:src|dist)\/.*)/.exec(source) ?? [];
  return {
    module: packaged ?? own?.slice(1) ?? basename(source),
    line: (mapped ? entry.originalLine : lineNumber) + 1,
  };
}

async function sourceMap(url: string): Promise<SourceMap | undefined> {
  try {
    return new SourceMap(JSON.parse(await readFile(new URL(`${url}.map`), 'utf8')) as SourceMapPayload);
  } catch {
    return undefined;
  }
}
