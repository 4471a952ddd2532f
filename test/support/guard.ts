import type { TestContext } from 'node:test';
import bcrypt from 'bcryptjs';
import { type GuardConfigInput, parseConfig } from '../../src/guard/config.ts';
import { Guard, type GuardOptions } from '../../src/guard/guard.ts';
import { applyEdit } from '../../src/guard/identity/userEdit.ts';
import type { User } from '../../src/guard/identity/users.ts';
import type { EndpointTls } from '../../src/guard/tls/certificate.ts';
import { createMemoryVault, type Vault } from '../../src/guard/tls/vault.ts';
import type { Activity } from '../../src/guard/usage/activity.ts';
import type { GuardEvent, Report } from '../../src/guard/usage/events.ts';
import type { FakeOllama } from './fakeOllama.ts';
import { overTls } from './overTls.ts';
import { team } from './people.ts';
import { type RawRequest, type RawResponse, request } from './rawClient.ts';
import { Signal } from './signal.ts';

/** What a test may choose of its guard. */
export interface TestGuardOptions {
  readonly vault?: Vault;
  readonly users?: readonly User[];
  readonly config?: Partial<GuardConfigInput>;
  readonly failedLogins?: GuardOptions['failedLogins'];
  readonly dataFolder?: string;
  /** Ollama's own list; empty unless given, so that an upstream sees the requests of the test alone. */
  readonly listModels?: GuardOptions['listModels'];
  /** Instead of a real bcrypt compare. */
  readonly comparePassword?: GuardOptions['comparePassword'];
}

/** A guard that runs in the process of the test, with a real bcrypt compare. */
export interface TestGuard {
  readonly guard: Guard;
  readonly port: number;
  /** Every password that was compared, and what with. */
  readonly compares: { readonly password: string; readonly hash: string }[];
  /** Every event reported so far. */
  readonly events: GuardEvent[];
  /** How it encrypts, as told after the start. */
  readonly described: EndpointTls[];
  /** Every report so far. */
  readonly reports: Report[];
  /** One request on a connection of its own. */
  call(what: RawRequest): Promise<RawResponse>;
  /** Waits until an event has been reported. */
  event<T extends GuardEvent['type']>(type: T): Promise<GuardEvent & { readonly type: T }>;
  /** Waits until how it encrypts is told anew, and is like that. */
  isDescribed(check: (tls: EndpointTls) => boolean): Promise<void>;
  /** Waits until the activity last reported is as described, and gives it. The test has switched reporting on. */
  activity(check: (activity: Activity) => boolean): Promise<Activity>;
}

/** Starts a guard for the team, in front of an upstream; it stops with the test. */
export async function startGuard(
  t: TestContext,
  upstream: FakeOllama | string,
  options: TestGuardOptions = {},
): Promise<TestGuard> {
  const compares: TestGuard['compares'] = [];
  const events: GuardEvent[] = [];
  const reports: Report[] = [];
  const described: EndpointTls[] = [];
  const redeemable = { users: options.users ?? team.users };
  const changed = new Signal();
  const compare = options.comparePassword ?? ((password, hash) => bcrypt.compare(password, hash));
  const config = parseConfig({
    host: '127.0.0.1',
    port: 0,
    upstream: typeof upstream === 'string' ? upstream : upstream.url,
    ...(overTls && { tls: overTls.tls }),
    ...options.config,
  });
  const guard = await Guard.start({
    config,
    users: options.users ?? team.users,
    comparePassword: (password, hash) => {
      compares.push({ password, hash });
      return compare(password, hash);
    },
    vault: options.vault ?? createMemoryVault(),
    redeemInvite: async (inviteId, key) => {
      const users = applyEdit(redeemable.users, { kind: 'redeem-invite', inviteId, key });
      redeemable.users = users;
      guard.setUsers(users);
    },
    onTls: (tls) => {
      described.push(tls);
      changed.notify();
    },
    onReport: (report) => {
      events.push(...report.events);
      reports.push(report);
      changed.notify();
    },
    listModels: options.listModels ?? (async () => []),
    ...(options.dataFolder && { dataFolder: options.dataFolder }),
    ...(options.failedLogins && { failedLogins: options.failedLogins }),
  });
  t.after(() => guard.stop(0));
  const port = Number(new URL(guard.url).port);
  return {
    guard,
    port,
    compares,
    events,
    reports,
    described,
    call: (what) => request(t, port, what),
    event: (type) => changed.until(() => events.find((event) => event.type === type) as never),
    isDescribed: async (check) => {
      await changed.until(() => described.some(check) || undefined);
    },
    activity: (check) =>
      changed.until(() => {
        const activity = reports.at(-1)?.activity;
        return activity !== undefined && check(activity) ? activity : undefined;
      }),
  };
}

/**
 * How a request may reach the upstream: on a new connection, or on one that an earlier request has left open. Most
 * failures of http-proxy look different on the two.
 */
export const upstreamConnections = ['new', 'kept-alive'] as const;

/** Makes the guard hold an idle connection to its upstream when that is asked for. Returns the requests it took. */
export async function warm(
  guard: TestGuard,
  upstream: FakeOllama,
  connection: (typeof upstreamConnections)[number],
): Promise<number> {
  if (connection === 'new') return 0;
  const { answer } = upstream;
  upstream.answer = (reply) => reply.json({ version: '0.0.0' });
  await guard.call({ path: '/api/version', headers: { authorization: team.mia.bearer } });
  upstream.answer = answer;
  return 1;
}
