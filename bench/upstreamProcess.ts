import { fileURLToPath } from 'node:url';
import { ask } from './ask.ts';
import type { Processes } from './processes.ts';

/** The bench's stand-in for Ollama, in a process of its own. */
export interface Upstream {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Writes one record on every held stream; answers how many there are. */
  tick(): Promise<number>;
}

/** Starts it on the core of the load. */
export async function startUpstream(processes: Processes, core: number | undefined): Promise<Upstream> {
  const script = fileURLToPath(new URL('upstream.ts', import.meta.url));
  const running = await processes.start(process.execPath, [script], { core, channel: true });
  const port = await ask(running, 'port');
  const host = '127.0.0.1';
  return { url: `http://${host}:${port}`, host, port, tick: () => ask(running, 'ticked', 'tick') };
}
