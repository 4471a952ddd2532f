import { isIP } from 'node:net';
import * as z from 'zod/mini';
import { endpointUrl } from '../guard/config.ts';
import { createHostRule, hostOf } from '../guard/entry/host.ts';
import type { User } from '../guard/identity/users.ts';
import type { Message } from '../guard/message.ts';
import type { GuardState } from '../guard/state.ts';
import { ask } from './ask.ts';
import { listenersOn } from './listeners.ts';
import type { Listener } from './listenerTables.ts';

/** What the checkup is told. Times are in milliseconds since the epoch. */
export interface CheckupInput {
  /** Where Ollama is, such as `http://127.0.0.1:11434`. */
  readonly upstream: string;
  readonly state: GuardState;
  readonly users: readonly User[];
  /** When each user and each API key last signed in, by id. */
  readonly lastUsed: Readonly<Record<string, number>>;
  readonly secretStorage: 'ok' | 'memory';
  /** `password-store` in VS Code's argv.json. */
  readonly passwordStore?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly now: number;
}

/** What was found out about this computer; what it means is for `findings` to say. */
export interface Facts {
  readonly ollama: OllamaFacts;
  /** Whether `OLLAMA_HOST`, as VS Code sees it, makes Ollama listen on every address. */
  readonly listensEverywhere: boolean;
  /** Where the guard is reached while it runs, in this window or another. */
  readonly guard: { readonly url?: string; readonly sharingUrl?: string };
  readonly users: readonly UserFacts[];
  readonly secretStorage: 'ok' | 'memory';
  readonly passwordStore: string | undefined;
  readonly now: number;
}

export interface OllamaFacts {
  readonly upstream: string;
  /** Whether that is an address of this computer. */
  readonly local: boolean;
  readonly answers: boolean;
  readonly version: string | undefined;
  /** Who listens on its port here, the guard itself left out; empty when that is not known. */
  readonly listeners: readonly Listener[];
  /** Whether it lets any web page call it. */
  readonly webPages: 'refused' | 'allowed' | 'unknown';
  /** Whether it acts for an account of ollama.com. */
  readonly account: 'signed-in' | 'signed-out' | 'unknown';
  readonly cloud: 'on' | 'off' | 'unknown';
  /** Installed models that run on ollama.com. */
  readonly cloudModels: readonly string[];
}

export interface UserFacts {
  readonly name: string;
  /** Whether the user is let in at all, apart from expiry. */
  readonly enabled: boolean;
  readonly expires: boolean;
  readonly createdAt: number;
  /** When the user or any of the user's keys last signed in. */
  readonly lastSeen: number | undefined;
}

export interface CheckupOptions {
  readonly signal?: AbortSignal;
  /** Told what is looked at next. */
  readonly onProgress?: (step: Message) => void;
}

const steps = {
  ollama: { text: 'Looking for Ollama', args: {} },
  network: { text: 'Looking at who can reach Ollama', args: {} },
  webPages: { text: 'Trying whether web pages can use Ollama', args: {} },
  cloud: { text: 'Looking at the account of Ollama', args: {} },
} satisfies Record<string, Message>;

/** An origin that nobody has: `.invalid` is reserved (RFC 2606). */
const foreignOrigin = 'https://ollama-guard.invalid';

const versionBody = z.object({ version: z.string().check(z.regex(/^[\w.+-]{1,40}$/)) });
const statusBody = z.object({ cloud: z.object({ disabled: z.boolean() }) });
const tagsBody = z.object({
  models: z.array(z.object({ name: z.string(), remote_host: z.optional(z.string()) })),
});

/**
 * Looks at this computer: a few questions to Ollama, and who listens on its port. Changes nothing, and what cannot be
 * found out is unknown rather than an error.
 *
 * @throws the reason of `signal` when it is aborted.
 */
export async function gatherFacts(input: CheckupInput, options: CheckupOptions = {}): Promise<Facts> {
  const { state } = input;
  const endpoint = state.status === 'running' || state.status === 'following' ? state : undefined;
  const guard = {
    ...(endpoint !== undefined && { url: endpoint.url }),
    ...(endpoint?.sharing !== undefined && { sharingUrl: endpoint.sharing.url }),
  };
  return {
    ollama: await askOllama(input.upstream, Object.values(guard), options),
    listensEverywhere: listensEverywhere(input.environment.OLLAMA_HOST ?? ''),
    guard,
    users: input.users.map((user) => factsOf(user, input.lastUsed)),
    secretStorage: input.secretStorage,
    passwordStore: input.passwordStore,
    now: input.now,
  };
}

async function askOllama(
  upstream: string,
  guardUrls: readonly string[],
  { signal = new AbortController().signal, onProgress = () => {} }: CheckupOptions,
): Promise<OllamaFacts> {
  onProgress(steps.ollama);
  const version = await ask(upstream, { path: '/api/version' }, signal, versionBody);
  const answers = version?.status === 200;

  onProgress(steps.network);
  const url = new URL(upstream);
  const local = isThisComputer(url.host);
  const listeners = local ? await foreignListeners(url, guardUrls) : [];
  signal.throwIfAborted();

  const found = { upstream, local, answers, version: version?.body?.version, listeners };
  if (!answers) return { ...found, webPages: 'unknown', account: 'unknown', cloud: 'unknown', cloudModels: [] };

  onProgress(steps.webPages);
  const webPages = await webPagesOf(upstream, signal);
  onProgress(steps.cloud);
  return { ...found, webPages, ...(await cloudOf(upstream, signal)) };
}

function isThisComputer(hostHeader: string): boolean {
  const host = hostOf(hostHeader) ?? '';
  return host === '0.0.0.0' || host === '::' || createHostRule([])(host);
}

/** Who listens on Ollama's port. The guard may share on the same port of another address: that is no way past it. */
async function foreignListeners(ollama: URL, guardUrls: readonly string[]): Promise<readonly Listener[]> {
  const port = Number(ollama.port || (ollama.protocol === 'https:' ? 443 : 80));
  const own = new Set(guardUrls.map((url) => new URL(url).host));
  const listeners = await listenersOn(port);
  return listeners.filter(({ address }) => !own.has(URL.parse(endpointUrl(address, port))?.host ?? ''));
}

/** Ollama answers a foreign origin 403; with `OLLAMA_ORIGINS=*` it allows every one. */
async function webPagesOf(upstream: string, signal: AbortSignal): Promise<OllamaFacts['webPages']> {
  const answer = await ask(upstream, { path: '/api/version', headers: { origin: foreignOrigin } }, signal);
  if (answer === undefined) return 'unknown';
  const allowed = answer.headers['access-control-allow-origin'];
  return allowed === '*' || allowed === foreignOrigin ? 'allowed' : 'refused';
}

type CloudFacts = Pick<OllamaFacts, 'account' | 'cloud' | 'cloudModels'>;

/**
 * `POST /api/me` says who is signed in, to anyone; its status is enough, so the body is never read. Ollama asks
 * ollama.com for it, which is not asked for when its cloud is off.
 */
async function cloudOf(upstream: string, signal: AbortSignal): Promise<CloudFacts> {
  const status = await ask(upstream, { path: '/api/status' }, signal, statusBody);
  const tags = await ask(upstream, { path: '/api/tags' }, signal, tagsBody);
  const models = tags?.body?.models ?? [];
  const cloudModels = models.filter((model) => model.remote_host || /[:-]cloud$/i.test(model.name));
  const disabled = status?.body?.cloud.disabled;
  const me = disabled ? undefined : await ask(upstream, { method: 'POST', path: '/api/me' }, signal);
  return {
    cloud: disabled === undefined ? 'unknown' : disabled ? 'off' : 'on',
    cloudModels: cloudModels.map(({ name }) => name),
    account: accounts[me?.status ?? 0] ?? 'unknown',
  };
}

/** What the status of `POST /api/me` means. An Ollama without the route (404) is too old to have an account. */
const accounts: Readonly<Record<number, OllamaFacts['account']>> = {
  200: 'signed-in',
  401: 'signed-out',
  404: 'signed-out',
};

/**
 * Whether a value of `OLLAMA_HOST` makes Ollama listen on every address, read as Ollama does: `Host()` in
 * https://github.com/ollama/ollama/blob/main/envconfig/config.go
 */
export function listensEverywhere(value: string): boolean {
  const bare = value.trim().replace(/^["']+|["']+$/g, '');
  const [, hostAndPort = ''] = /^(?:\w+:\/\/)?([^/]*)/.exec(bare) ?? [];
  const host = isIP(hostAndPort) === 0 ? hostAndPort.replace(/:[^:]*$/, '') : hostAndPort;
  return hostAndPort !== '' && /^\[?[0:.]*\]?$/.test(host);
}

function factsOf(user: User, lastUsed: CheckupInput['lastUsed']): UserFacts {
  const seen = [user, ...user.keys].flatMap(({ id }) => lastUsed[id] ?? []);
  return {
    name: user.name,
    enabled: user.disabled === undefined,
    expires: user.expiresAt !== undefined,
    createdAt: Date.parse(user.createdAt),
    lastSeen: seen.length === 0 ? undefined : Math.max(...seen),
  };
}
