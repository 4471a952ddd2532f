import { setTimeout as sleep } from 'node:timers/promises';
import { type Joined, type JoinedEndpoint, type Link, portsBeside } from '../connector/joined.ts';
import { GuardError } from '../guard/errors.ts';
import { type Invite, parseInviteLink } from '../guard/share/inviteLink.ts';

/** Where joined endpoints are kept, with their API keys. */
export interface JoinedStore {
  /** @throws GuardError `data-unavailable` when it cannot be asked, `data-damaged` when it holds what is not understood. */
  read(): Promise<readonly Joined[]>;
  /** @throws GuardError `data-unavailable`. */
  write(before: readonly Joined[], after: readonly Joined[]): Promise<void>;
}

/** What opens connectors. */
export interface Connectors {
  /** @throws GuardError `address-in-use` when the port is held, and what else stands in the way. */
  open(joined: Joined): Promise<{ readonly url: string }>;
  close(id: string): Promise<void>;
  /** @throws GuardError why the invite is not taken, or the endpoint is not reached; the reason of `signal`. */
  redeem(invite: Invite, signal: AbortSignal): Promise<Omit<Joined, 'port'>>;
  dispose(): Promise<void>;
}

/** What a keeper works with. */
export interface JoinedPorts {
  readonly store: JoinedStore;
  readonly connectors: Connectors;
  readonly onChange: (joined: readonly JoinedEndpoint[]) => void;
  /** A problem nobody waits for the outcome of. */
  readonly onProblem: (error: unknown) => void;
  /** Waits so many milliseconds, or until `signal` fires; replaced in tests. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** A port that the window before this one has not let go of yet is tried again at this pace, in milliseconds, */
const retryMs = 500;
/** so many times; then it is said that somebody holds it, and it is looked at less often. */
const patientTries = 16;
const slowRetryMs = 10_000;

interface Kept {
  readonly joined: Joined;
  url: string | undefined;
  link: Link;
  /** Ends the tries to open it. */
  readonly leaving: AbortController;
}

/** The endpoints of others that were joined, in the one window that may change them: each with a connector that is open. */
export class JoinedKeeper {
  readonly #ports: JoinedPorts;
  readonly #kept = new Map<string, Kept>();
  /** Joins under way, by their link. */
  readonly #joining = new Map<string, AbortController>();
  /** Changes wait for one another here. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(ports: JoinedPorts) {
    this.#ports = ports;
  }

  /** Without their secrets, in the order they were joined. */
  get joined(): readonly JoinedEndpoint[] {
    return [...this.#kept.values()].map(({ joined: { id, user, addresses }, url, link }) => ({
      id,
      user,
      addresses,
      url,
      link,
    }));
  }

  /**
   * Opens what is stored, patiently and in the background.
   *
   * @throws GuardError `data-unavailable`, `data-damaged`: what is stored is left alone.
   */
  load(): Promise<void> {
    return this.#inTurn(async () => {
      for (const joined of await this.#ports.store.read()) {
        if (!this.#kept.has(joined.id)) void this.#openPatiently(this.#keep(joined));
      }
      this.#tell();
    });
  }

  /**
   * Exchanges an invite for a key of one's own, and opens a connector to its endpoint.
   *
   * @throws GuardError `link-invalid`, what stands in the way, and `data-unavailable` when it could not be kept: it is
   *   open all the same, for as long as this window is.
   */
  join(link: string): Promise<void> {
    const cancelled = new AbortController();
    this.#joining.set(link, cancelled);
    return this.#inTurn(() => this.#join(parseInviteLink(link), cancelled.signal)).finally(() => {
      if (this.#joining.get(link) === cancelled) this.#joining.delete(link);
    });
  }

  /** Gives up a join that is under way. One whose invite was taken already goes through. */
  cancelJoin(link: string): void {
    this.#joining.get(link)?.abort();
  }

  /** Closes the connector and forgets the key. @throws GuardError `joined-unknown`, `data-unavailable`, `data-damaged`. */
  leave(id: string): Promise<void> {
    return this.#inTurn(async () => {
      const kept = this.#kept.get(id);
      if (kept === undefined) {
        throw new GuardError('joined-unknown', 'There is no joined endpoint {id}.', { args: { id } });
      }
      const stored = await this.#ports.store.read();
      await this.#ports.store.write(
        stored,
        stored.filter((other) => other.id !== id),
      );
      this.#kept.delete(id);
      kept.leaving.abort();
      this.#tell();
      await this.#ports.connectors.close(id);
    });
  }

  /** Takes note of how a connector gets on. */
  onLink(id: string, link: Link): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    kept.link = link;
    this.#tell();
  }

  /** What made the connectors work has died, and they with it: they are opened again after a moment. */
  onDeath({ detail }: GuardError): void {
    for (const kept of this.#kept.values()) {
      // Of the others, the tries go on.
      if (kept.url === undefined) continue;
      kept.url = undefined;
      kept.link = { status: 'broken', message: detail };
      void this.#wait(retryMs, kept).then(() => this.#openPatiently(kept));
    }
    this.#tell();
  }

  /** Closes every connector; what is joined stays joined. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const joining of this.#joining.values()) joining.abort();
    for (const { leaving } of this.#kept.values()) leaving.abort();
    await this.#ports.connectors.dispose();
  }

  /** Resolves when the changes that were asked for so far are through. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #join(invite: Invite, signal: AbortSignal): Promise<void> {
    const { store, connectors } = this.#ports;
    // An invite works once, so it is not taken before it is known that what comes of it can be kept.
    const stored = await store.read();
    const redeemed = await connectors.redeem(invite, signal);
    const { joined, url } = await this.#openFirstFree(redeemed, portsBeside(stored));
    const kept = this.#keep(joined);
    kept.url = url;
    // The invite is used up, so what it gave is kept whatever stands in the way of opening it now.
    if (url === undefined) void this.#openPatiently(kept);
    this.#tell();
    await store.write(stored, [...stored.filter(({ id }) => id !== joined.id), joined]);
  }

  #keep(joined: Joined): Kept {
    const kept: Kept = { joined, url: undefined, link: { status: 'open' }, leaving: new AbortController() };
    this.#kept.set(joined.id, kept);
    return kept;
  }

  /** Opens a connector at the first port that nobody has; without a URL when it could not be opened at any. */
  async #openFirstFree(
    redeemed: Omit<Joined, 'port'>,
    ports: readonly [number, ...number[]],
  ): Promise<{ readonly joined: Joined; readonly url: string | undefined }> {
    for (const port of ports) {
      const joined = { ...redeemed, port };
      try {
        return { joined, url: (await this.#ports.connectors.open(joined)).url };
      } catch (error) {
        if (!GuardError.is(error, 'address-in-use')) break;
      }
    }
    return { joined: { ...redeemed, port: ports[0] }, url: undefined };
  }

  async #openPatiently(kept: Kept): Promise<void> {
    const { joined, leaving } = kept;
    for (let tries = 1; !leaving.signal.aborted; tries += 1) {
      try {
        const { url } = await this.#ports.connectors.open(joined);
        if (leaving.signal.aborted) await this.#ports.connectors.close(joined.id);
        kept.url = url;
        kept.link = { status: 'open' };
        this.#tell();
        return;
      } catch (error) {
        if (!GuardError.is(error)) this.#ports.onProblem(error);
        if (tries >= patientTries || !GuardError.is(error, 'address-in-use')) {
          const message = GuardError.is(error) ? error.detail : { text: '{reason}', args: { reason: String(error) } };
          kept.link = { status: 'broken', message };
          this.#tell();
        }
      }
      await this.#wait(tries < patientTries ? retryMs : slowRetryMs, kept);
    }
  }

  #wait(ms: number, { leaving }: Kept): Promise<void> {
    return (this.#ports.wait ?? wait)(ms, leaving.signal);
  }

  #tell(): void {
    if (!this.#closed) this.#ports.onChange(this.joined);
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}
