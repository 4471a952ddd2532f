import { type Joined, type Link, portsBeside } from '../connector/joined.ts';
import { isLoopback } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import { inviteIdOf } from '../guard/identity/invite.ts';
import { inEnglish } from '../guard/message.ts';
import { parseInviteLink } from '../guard/share/inviteLink.ts';
import { shells } from '../guard/share/shell.ts';
import { ConnectorHost } from '../threads/connectorHost.ts';
import type { Following } from './followFile.ts';
import type { JoinedFile } from './joinedFile.ts';
import { untilSignalled } from './signals.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usageError.ts';

/** What commands on joined endpoints work with. */
export interface JoinPorts {
  readonly file: JoinedFile;
  readonly terminal: Terminal;
}

/** What `join` is asked for. */
export interface JoinRequest {
  /** Of an invite, `-` reads it from standard input; everything that was joined before when left out. */
  readonly link: string | undefined;
  /** Where to listen on this computer from now on; 0 picks one. */
  readonly port: number | undefined;
}

/**
 * `ollama-guard join`: runs connectors until SIGINT or SIGTERM, or until every endpoint is left.
 *
 * @throws GuardError why the invite was not taken, or nothing could be opened; UsageError.
 */
export async function join(ports: JoinPorts, request: JoinRequest): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  const end = Promise.withResolvers<void>();
  end.promise.catch(() => undefined);
  untilSignalled(signal).then(
    () => end.resolve(),
    () => undefined,
  );
  const host = new ConnectorHost({ onLink: (id, link) => running.tell(id, link), onDeath: end.reject });
  const running = new Running(ports, host, end.resolve);
  try {
    await Promise.race([running.open(request, signal), end.promise]);
    await end.promise;
  } finally {
    // From here on a second Ctrl+C ends the process at once.
    over.abort();
    running.close();
    await host.dispose();
  }
}

/** Connectors that are open. */
class Running {
  readonly #file: JoinedFile;
  readonly #terminal: Terminal;
  readonly #host: ConnectorHost;
  readonly #onAllLeft: () => void;
  readonly #open = new Map<string, Joined>();
  #watch: Following | undefined;

  constructor({ file, terminal }: JoinPorts, host: ConnectorHost, onAllLeft: () => void) {
    this.#file = file;
    this.#terminal = terminal;
    this.#host = host;
    this.#onAllLeft = onAllLeft;
  }

  /** Opens what is asked for, and follows what other processes leave. */
  async open({ link, port }: JoinRequest, signal: AbortSignal): Promise<void> {
    // Before an invite is used up, it is known that what comes of it can be kept.
    const stored = await this.#file.read();
    if (link === undefined) await this.#reopen(stored, port);
    else await this.#join(link, port, stored, signal);
    this.#watch = this.#file.watch(
      (entries) => void this.#follow(entries),
      (error) => this.#terminal.say(wordsOf(error)),
    );
  }

  close(): void {
    this.#watch?.end();
  }

  /** Says how a connector gets on, when that changed. */
  tell(id: string, link: Link): void {
    const joined = this.#open.get(id);
    if (joined === undefined) return;
    const words = link.status === 'open' ? 'It is there again.' : inEnglish(link.message);
    this.#terminal.say(`${hostOf(joined)}: ${words}`);
  }

  async #reopen(stored: readonly Joined[], port: number | undefined): Promise<void> {
    if (stored.length === 0) {
      throw new UsageError('Nothing was joined yet. Join with the link of an invite: ollama-guard join LINK');
    }
    if (port !== undefined && stored.length > 1) {
      throw new UsageError('There are several joined endpoints, each with its own port. Leave --listen out.');
    }
    const failures: unknown[] = [];
    for (const joined of stored) {
      await this.#openAt(joined, [port ?? joined.port]).catch((error: unknown) => failures.push(error));
    }
    if (this.#open.size === 0) throw failures[0];
    for (const error of failures) this.#terminal.say(wordsOf(error));
  }

  async #join(link: string, port: number | undefined, stored: readonly Joined[], signal: AbortSignal): Promise<void> {
    const invite = parseInviteLink(link === '-' ? await this.#terminal.readInput() : link);
    const known = stored.find(({ id }) => id === inviteIdOf(invite.code));
    if (known !== undefined) {
      await this.#openAt(known, [port ?? known.port]);
      return;
    }
    const redeemed = await this.#host.redeem(invite, signal);
    const candidates = port === undefined ? portsBeside(stored) : ([port] as const);
    const joined: Joined = { ...redeemed, port: candidates[0] };
    // The invite is used up: what it gave is kept before anything can stand in the way of opening it.
    await this.#keep(joined);
    await this.#openAt(joined, candidates);
  }

  /** Opens a connector at the first port that nobody has, and says how to use it. */
  async #openAt(joined: Joined, candidates: readonly number[]): Promise<void> {
    const { id, user, addresses } = joined;
    this.#open.set(id, joined);
    const url = await this.#openFirstFree(joined, candidates).catch((error: unknown) => {
      this.#open.delete(id);
      throw error;
    });
    const port = Number(new URL(url).port);
    if (port !== joined.port) await this.#keep({ ...joined, port });
    this.#terminal.out(`listening on ${url}`);
    this.#terminal.say(`This is the Ollama at ${hostOf(joined)}, where you are ${user}. Use it with:`);
    this.#terminal.say(`  ${usage(url)}`);
    if (addresses.some(isReadableOnTheWay)) {
      this.#terminal.say('Nothing is encrypted on the way there: others in the network can read along.');
    }
  }

  async #openFirstFree(joined: Joined, candidates: readonly number[]): Promise<string> {
    for (const port of candidates.slice(0, -1)) {
      try {
        return (await this.#host.open({ ...joined, port })).url;
      } catch (error) {
        if (!GuardError.is(error, 'address-in-use')) throw error;
      }
    }
    return (await this.#host.open({ ...joined, port: candidates.at(-1) ?? joined.port })).url;
  }

  async #keep(joined: Joined): Promise<void> {
    const replace = (entries: readonly Joined[]) => {
      const isNew = !entries.some(({ id }) => id === joined.id);
      return isNew ? [...entries, joined] : entries.map((other) => (other.id === joined.id ? joined : other));
    };
    // What was redeemed is of use without being kept, and cannot be redeemed again.
    await this.#file.update(replace).catch((error: unknown) => {
      this.#terminal.say(`${wordsOf(error)} Until Ctrl+C it works all the same.`);
    });
  }

  async #follow(entries: readonly Joined[]): Promise<void> {
    const kept = new Set(entries.map(({ id }) => id));
    for (const [id, joined] of this.#open) {
      if (kept.has(id)) continue;
      this.#open.delete(id);
      await this.#host.close(id);
      this.#terminal.say(`Left ${hostOf(joined)}.`);
    }
    if (this.#open.size === 0) this.#onAllLeft();
  }
}

/** `ollama-guard join --list`: id, name and address of each, and where it is reached on this computer. */
export async function listJoined({ file, terminal }: JoinPorts): Promise<void> {
  const all = await file.read();
  if (all.length === 0) terminal.say('Nothing is joined yet. Join an endpoint: ollama-guard join LINK');
  for (const { id, user, addresses, port } of all) {
    terminal.out([id, user, addresses[0], `http://127.0.0.1:${port}`].join('\t'));
  }
}

/**
 * `ollama-guard leave`: forgets an endpoint and its API key.
 *
 * @param which its id, its host with or without port, or one's own name there.
 * @throws GuardError `joined-unknown`; UsageError when it could be several.
 */
export async function leave({ file, terminal }: JoinPorts, which: string): Promise<void> {
  let left: Joined | undefined;
  await file.update((entries) => {
    const [found, ...others] = entries.filter((joined) => namesOf(joined).includes(which));
    if (found === undefined) {
      throw new GuardError('joined-unknown', 'There is no joined endpoint {id}.', { args: { id: which } });
    }
    if (others.length > 0) {
      const ids = [found, ...others].map(({ id }) => id).join(', ');
      throw new UsageError(`There are several joined endpoints ${which}. Name one by its id: ${ids}`);
    }
    left = found;
    return entries.filter((joined) => joined !== found);
  });
  if (left !== undefined) terminal.say(`Left ${hostOf(left)} and forgot its API key.`);
}

function namesOf({ id, user, addresses }: Joined): readonly string[] {
  return [id, user, ...addresses.flatMap((address) => [new URL(address).host, new URL(address).hostname])];
}

/** Whether others in the network see what is sent there. */
function isReadableOnTheWay(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return protocol === 'http:' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

function hostOf({ addresses }: Joined): string {
  return new URL(addresses[0] ?? '').host;
}

function usage(url: string): string {
  if (process.platform !== 'win32') return `OLLAMA_HOST=${url} ollama list`;
  return `${shells.powershell.assign('OLLAMA_HOST', url)}; ollama list`;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
