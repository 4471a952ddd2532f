import { once } from 'node:events';
import type { GuardConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import { upstreamAnswers } from '../guard/forward/probe.ts';
import type { ApiKeyRecord, User } from '../guard/identity/users.ts';
import { inEnglish } from '../guard/message.ts';
import type { GuardState } from '../guard/state.ts';
import type { Vault } from '../guard/tls/vault.ts';
import { GuardHost } from '../threads/guardHost.ts';
import { formatEvent, type LogFormat } from './log.ts';
import type { Terminal } from './terminal.ts';

/** Streams under way get this long when the guard is told to stop, in milliseconds. */
const drainMs = 10_000;

const probeTimeoutMs = 3_000;

/** What `serve` and `try` run with. */
export interface ServeOptions {
  readonly config: GuardConfig;
  readonly users: readonly User[];
  readonly logFormat: LogFormat;
  readonly terminal: Terminal;
  readonly vault: Vault;
  /** Exchanges an invite for an API key in what is stored, and gives the users that come of it. */
  readonly redeemInvite: (inviteId: string, key: ApiKeyRecord) => Promise<readonly User[]>;
  /** Called once the guard listens; what it returns is called when the guard has stopped. */
  readonly onListening: (url: string, setUsers: (users: readonly User[]) => void) => Promise<() => Promise<void>>;
}

/**
 * Runs a guard until SIGINT or SIGTERM, then lets streams drain.
 *
 * @throws GuardError why it could not start, or why it broke.
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { config, users, logFormat, terminal, vault, redeemInvite, onListening } = options;
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  const host = new GuardHost(
    {
      onState: (state) => {
        if (state.status === 'failed') broken.reject(failure(state));
      },
      onEvents: (events, dropped) => {
        const lines = events.map((event) => formatEvent(event, logFormat));
        if (dropped > 0)
          lines.push(formatEvent({ type: 'error', message: `${dropped} log lines left out` }, logFormat));
        // One write for all: each would hold this process for a while when the log goes to a file or a pipe.
        if (lines.length > 0) terminal.say(lines.join('\n'));
      },
    },
    {
      vault,
      redeemInvite: async (inviteId, key) => host.setUsers(await redeemInvite(inviteId, key)),
    },
  );
  const over = new AbortController();
  const { signal } = over;
  const signalled = Promise.race([once(process, 'SIGINT', { signal }), once(process, 'SIGTERM', { signal })]);
  signalled.catch(() => undefined);
  try {
    const state = await host.start(config, users);
    if (state.status !== 'running') throw await broken.promise;
    const done = await onListening(state.url, (changed) => host.setUsers(changed));
    if (!(await upstreamAnswers(config.upstream, probeTimeoutMs))) {
      terminal.say(`Ollama does not answer at ${config.upstream} yet. Start it with: ollama serve`);
    }
    await Promise.race([signalled, broken.promise]).finally(done);
  } finally {
    // From here on a second Ctrl+C ends the process at once.
    over.abort();
    await host.dispose(drainMs);
  }
}

function failure({ code, message }: GuardState & { status: 'failed' }): Error {
  return code === undefined
    ? new Error(inEnglish(message))
    : new GuardError(code, message.text, { args: message.args });
}
