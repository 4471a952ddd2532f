/**
 * Stands in for VS Code's extension host: runs the guard on its threads as the extension does, and measures how late
 * its own event loop is. Messages: `reset` starts a measurement, `read` answers its p99 in ms.
 */
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseConfig } from '../src/guard/config.ts';
import { parseUsers } from '../src/guard/identity/users.ts';
import { createMemoryVault } from '../src/guard/tls/vault.ts';
import { GuardHost } from '../src/threads/guardHost.ts';

const [upstream = '', usersFile = ''] = process.argv.slice(2);
const stored: unknown = JSON.parse(await readFile(usersFile, 'utf8'));
const users = parseUsers((stored as { users: unknown }).users);
const host = new GuardHost(
  { onState: () => undefined, onEvents: () => undefined },
  { vault: createMemoryVault(), redeemInvite: async () => undefined },
);
// As in the proxies of the other rows, nobody waits for a turn.
const policy = { queue: { concurrency: 1_024 } };
const state = await host.start(parseConfig({ host: '127.0.0.1', port: 0, upstream, policy }), users);
if (state.status !== 'running') throw new Error(`The guard did not start: ${JSON.stringify(state)}`);

// Samples are gaps between timers of 1 ms; what is lost to rounding is lost with and without streams.
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.on('message', (message) => {
  if (message === 'reset') {
    delay.reset();
    process.send?.({ reset: 0 });
  } else {
    process.send?.({ p99: delay.percentile(99) / 1e6 });
  }
});
process.on('disconnect', () => process.exit());
process.send?.({ port: Number(new URL(state.url).port) });
