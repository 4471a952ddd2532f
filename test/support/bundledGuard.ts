import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { MessageChannel, Worker } from 'node:worker_threads';
import { type BuildOptions, build } from 'esbuild';
import { parseConfig } from '../../src/guard/config.ts';
import { inEnglish } from '../../src/guard/message.ts';
import {
  connect,
  type GuardHostFunctions,
  type GuardThreadFunctions,
  type HashThreadFunctions,
} from '../../src/threads/messages.ts';
import { team } from './people.ts';

const root = new URL('../../', import.meta.url);

/** A guard thread out of the bundle that ships. */
export interface BundledGuard {
  readonly port: number;
  /** Ends the thread and gives everything it wrote to its standard error, warnings included. */
  end(): Promise<string>;
}

/** Builds the guard thread as `esbuild.mjs` does, with what a test changes, and starts it. */
export async function startBundledGuard(
  t: TestContext,
  upstream: string,
  changes: Partial<BuildOptions> = {},
): Promise<BundledGuard> {
  const { bundles } = (await import(new URL('esbuild.mjs', root).href)) as {
    readonly bundles: readonly BuildOptions[];
  };
  const options = bundles.find(({ entryPoints }) => JSON.stringify(entryPoints).includes('guardThread'));
  // Outside of any node_modules, where Node holds some warnings back.
  const outdir = await mkdtemp(join(tmpdir(), 'ollama-guard-bundle-'));
  t.after(() => rm(outdir, { recursive: true, force: true }));
  await build({
    ...options,
    absWorkingDir: root.pathname,
    outdir,
    outExtension: { '.js': '.mjs' },
    ...changes,
  });

  const { port1: hashPort, port2 } = new MessageChannel();
  const compare = () => true;
  connect<object, HashThreadFunctions>(port2, { hash: () => '', compare });
  const worker = new Worker(join(outdir, 'guardThread.mjs'), {
    workerData: { hashPort },
    transferList: [hashPort],
    stderr: true,
    execArgv: [],
  });
  t.after(() => worker.terminate());
  let written = '';
  worker.stderr.setEncoding('utf8').on('data', (text: string) => {
    written += text;
  });
  const calls = connect<GuardThreadFunctions, GuardHostFunctions>(worker, {
    onReport: () => {},
    onTls: () => {},
    readVault: async () => ({ text: undefined }),
    writeVault: async () => ({ text: undefined }),
    redeemInvite: async () => undefined,
  });
  const result = await calls.start(parseConfig({ host: '127.0.0.1', port: 0, upstream }), team.users);
  if (!('url' in result)) throw new Error(inEnglish(result.detail));
  return {
    port: Number(new URL(result.url).port),
    async end() {
      await calls.stop(0);
      port2.close();
      await worker.terminate();
      return written;
    },
  };
}
