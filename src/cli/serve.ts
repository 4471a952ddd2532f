import { isDeepStrictEqual } from 'node:util';
import type { GuardConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import { upstreamAnswers } from '../guard/forward/probe.ts';
import type { ApiKeyRecord, User } from '../guard/identity/users.ts';
import { inEnglish } from '../guard/message.ts';
import type { PolicyDocument } from '../guard/policy/policyDocument.ts';
import type { Endpoint, GuardState } from '../guard/state.ts';
import type { EndpointTls } from '../guard/tls/certificate.ts';
import type { Vault } from '../guard/tls/vault.ts';
import { GuardHost } from '../threads/guardHost.ts';
import { formatEvent, type LogFormat } from './log.ts';
import { untilSignalled } from './signals.ts';
import type { Terminal } from './terminal.ts';

/** Streams under way get this long when the guard is told to stop, in milliseconds. */
const drainMs = 10_000;

const probeTimeoutMs = 3_000;

/** What can be changed of a guard that runs. */
export interface RunningGuard {
  readonly setUsers: (users: readonly User[]) => void;
  readonly setPolicy: (policy: PolicyDocument) => void;
}

/** What `serve` and `try` run with. */
export interface ServeOptions {
  readonly config: GuardConfig;
  readonly users: readonly User[];
  readonly logFormat: LogFormat;
  readonly terminal: Terminal;
  readonly vault: Vault;
  /** Where what was used of a day's tokens is kept; nowhere unless given. */
  readonly dataFolder?: string;
  /** Exchanges an invite for an API key in what is stored; the guard knows of it when this is over. */
  readonly redeemInvite: (inviteId: string, key: ApiKeyRecord) => Promise<void>;
  /** Called once the guard listens; what it returns is called when the guard has stopped. */
  readonly onListening: (
    endpoint: Endpoint,
    guard: RunningGuard,
  ) => Promise<{
    /** Called when the endpoint has another certificate. */
    readonly onTls: (endpoint: Endpoint) => void;
    readonly done: () => Promise<void>;
  }>;
}

/**
 * Runs a guard until SIGINT or SIGTERM, then lets streams drain.
 *
 * @throws GuardError why it could not start, or why it broke.
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { config, users, logFormat, terminal, vault, dataFolder, redeemInvite, onListening } = options;
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  let tls: EndpointTls | undefined;
  let onTls: (endpoint: Endpoint) => void = () => {};
  const host = new GuardHost(
    {
      onState: (state) => {
        if (state.status === 'failed') broken.reject(failure(state));
        if (state.status !== 'running' || state.tls === tls) return;
        const problem = state.tls?.problem;
        if (problem !== undefined && !isDeepStrictEqual(problem, tls?.problem)) {
          terminal.say(formatEvent({ type: 'error', message: inEnglish(problem) }, logFormat));
        }
        tls = state.tls;
        onTls(state);
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
      ...(dataFolder !== undefined && { dataFolder }),
      redeemInvite,
    },
  );
  const over = new AbortController();
  const signalled = untilSignalled(over.signal);
  try {
    const state = await Promise.race([host.start(config, users), signalled.then(() => undefined)]);
    if (state === undefined) return;
    if (state.status !== 'running') throw await broken.promise;
    const listening = await onListening(state, {
      setUsers: (changed) => host.setUsers(changed),
      setPolicy: (changed) => host.setPolicy(changed),
    });
    onTls = listening.onTls;
    if (host.state.status === 'running' && host.state.tls !== state.tls) onTls(host.state);
    if (!(await upstreamAnswers(config.upstream, probeTimeoutMs))) {
      terminal.say(`Ollama does not answer at ${config.upstream} yet. Start it with: ollama serve`);
    }
    await Promise.race([signalled, broken.promise]).finally(() => {
      onTls = () => {};
      return listening.done();
    });
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
