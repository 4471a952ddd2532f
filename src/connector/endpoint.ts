import type { IncomingMessage, ServerResponse } from 'node:http';
import { type RefusalCode, refuse } from '../guard/answers.ts';
import { systemErrorCode } from '../guard/errors.ts';
import { createForward, type Forward, type ForwardConfig, type Forwarding } from '../guard/forward/forward.ts';
import { endpointHeaders } from '../guard/forward/headers.ts';
import { readBytes } from '../guard/forward/readJson.ts';
import { ask, healthPath } from './ask.ts';
import type { Joined, Link } from './joined.ts';
import { isSilence, messageOf, type Trouble, troubleOf, worst } from './trouble.ts';
import { trusting } from './trust.ts';

/** An endpoint that has answered within this time is taken to be there still, in milliseconds. */
const freshMs = 5_000;

/** How long an address may take to show that the endpoint is there, in milliseconds. */
const answerMs = 5_000;

/** While something is under way or nothing comes through, it is looked after at this pace, in milliseconds. */
const lookMs = 5_000;

/** A computer that is busy loading a model can be silent for a while; after so many silent looks it is gone. */
const maxSilent = 3;

/** Once the endpoint has said no, it is left alone for this long: it counts failed sign-ins. In milliseconds. */
const endedMs = 30_000;

/** An address of the endpoint, with the connections to it. */
interface Way {
  readonly address: string;
  readonly forward: Forward;
}

/** Why an address leads nowhere. */
interface DeadEnd {
  readonly trouble: Trouble;
  readonly isSilent: boolean;
}

/** What a request is forwarded by. */
type Errand = Pick<Forwarding, 'path' | 'body' | 'maxBodyBytes'>;

/**
 * A joined endpoint, as the connector sees it: at which of its addresses it is reached, and how it gets on. Nothing is
 * sent before an address has proved to be the endpoint's, where it encrypts; the proof costs no credential.
 */
export class Endpoint {
  readonly #ways: readonly Way[];
  readonly #onLink: (link: Link) => void;
  #current: Way;
  /** When the endpoint showed that it is there, by `performance.now()`. */
  #seenAt = Number.NEGATIVE_INFINITY;
  /** Until when it is left alone, by `performance.now()`; undefined unless its last answer was that access has ended. */
  #endedUntil: number | undefined;
  #looking: Promise<Way | DeadEnd> | undefined;
  #silentLooks = 0;
  /** What is told of already. */
  #trouble: Trouble | undefined;
  /** Requests under way. */
  #live = 0;
  #watch: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();

  /** @param onLink called when its link is another than before; it is open at first. */
  constructor(joined: Joined, config: ForwardConfig, onLink: (link: Link) => void) {
    this.#onLink = onLink;
    const options = {
      tls: trusting(joined.ca),
      headers: { authorization: `Bearer ${joined.apiKey}` },
      refusalOf: (status: number) => this.#judge(status),
      answerHeaders: endpointHeaders,
    };
    const ways = joined.addresses.map((address) => ({
      address,
      forward: createForward({ ...config, upstream: address }, options),
    }));
    const [first] = ways;
    if (first === undefined) throw new Error('an endpoint without an address');
    this.#ways = ways;
    this.#current = first;
  }

  /** Begins to look after the endpoint. */
  open(): void {
    this.#watch = setInterval(() => this.#lookAfter(), lookMs).unref();
    void this.#look();
  }

  /**
   * Sends a request to the endpoint and its answer back, or answers with a refusal in words. What has no body, and was
   * not answered when its connection failed, is sent once more, to whichever address leads to the endpoint then.
   */
  forward(req: IncomingMessage, res: ServerResponse, errand: Errand): void {
    this.#live += 1;
    res.once('close', () => {
      this.#live -= 1;
    });
    const send = async (mayRepeat: boolean): Promise<void> => {
      const way = await this.#way();
      if (res.destroyed) return;
      if (typeof way === 'string') {
        refuse(res, way, errand.path);
        return;
      }
      const onFailure = (code: string | undefined) => {
        this.#seenAt = Number.NEGATIVE_INFINITY;
        if (mayRepeat && req.complete) attempt(false);
        else {
          refuse(res, troubleOf(code), errand.path);
          void this.#look();
        }
      };
      way.forward(req, res, { ...errand, onAnswer: (answer) => this.#onAnswer(answer), onFailure });
    };
    const attempt = (mayRepeat: boolean) => {
      send(mayRepeat).catch(() => refuse(res, 'endpoint-failed', errand.path));
    };
    attempt(errand.body === 'none');
  }

  /** Cuts every connection. */
  close(): void {
    this.#closing.abort();
    clearInterval(this.#watch);
    for (const { forward } of this.#ways) forward.close();
  }

  get #isFresh(): boolean {
    return performance.now() - this.#seenAt < freshMs;
  }

  get #isLeftAlone(): boolean {
    return this.#endedUntil !== undefined && performance.now() < this.#endedUntil;
  }

  /** The way that leads to the endpoint; why there is none. One that did a moment ago is taken without asking. */
  async #way(): Promise<Way | Trouble> {
    if (this.#isLeftAlone) return 'access-ended';
    if (this.#isFresh) return this.#current;
    const found = await this.#look();
    return 'trouble' in found ? found.trouble : found;
  }

  #onAnswer(answer: IncomingMessage): void {
    this.#endedUntil = undefined;
    this.#found();
    answer.on('data', () => {
      this.#seenAt = performance.now();
    });
  }

  /** What to refuse with in place of an answer. */
  #judge(status: number): RefusalCode | undefined {
    // Ollama never redirects, and clients that follow would take their bodies to other services of this computer.
    if (status >= 300 && status < 400) return 'endpoint-failed';
    if (status !== 401) return undefined;
    this.#endedUntil = performance.now() + endedMs;
    this.#found();
    return 'access-ended';
  }

  /** The endpoint is there, which does not mean that it lets this computer in. */
  #found(): void {
    this.#seenAt = performance.now();
    this.#silentLooks = 0;
    this.#tell(this.#endedUntil === undefined ? undefined : 'access-ended');
  }

  #tell(trouble: Trouble | undefined): void {
    if (trouble === this.#trouble || this.#closing.signal.aborted) return;
    this.#trouble = trouble;
    this.#onLink(trouble === undefined ? { status: 'open' } : { status: 'broken', message: messageOf(trouble) });
  }

  #lookAfter(): void {
    const isLost = this.#trouble !== undefined && this.#endedUntil === undefined;
    if (!this.#isFresh && (this.#live > 0 || isLost)) void this.#look();
  }

  /** Finds the address that leads to the endpoint: the one that did before, or else the first that does. */
  #look(): Promise<Way | DeadEnd> {
    this.#looking ??= this.#find().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #find(): Promise<Way | DeadEnd> {
    const before = this.#current;
    const deadEnd = await this.#whyNot(before);
    const found = deadEnd === undefined ? before : await this.#findOther(deadEnd);
    if ('trouble' in found) {
      this.#silentLooks = found.isSilent ? this.#silentLooks + 1 : 0;
      if (this.#silentLooks >= maxSilent) before.forward.close();
      this.#tell(found.trouble);
      return found;
    }
    // What is under way by the other address would wait in vain: nobody is there any more.
    if (deadEnd?.isSilent) before.forward.close();
    this.#current = found;
    this.#found();
    return found;
  }

  /** All others are asked at once, and the first of them that leads there is taken. */
  async #findOther(deadEnd: DeadEnd): Promise<Way | DeadEnd> {
    const deadEnds = [deadEnd];
    const asked = this.#ways.filter((way) => way !== this.#current).map((way) => [way, this.#whyNot(way)] as const);
    for (const [way, why] of asked) {
      const other = await why;
      if (other === undefined) return way;
      deadEnds.push(other);
    }
    return { trouble: worst(deadEnds.map(({ trouble }) => trouble)), isSilent: deadEnd.isSilent };
  }

  /** Why an address does not lead to the endpoint; undefined when it does. Asked on a connection that is new. */
  async #whyNot({ address, forward: { agent } }: Way): Promise<DeadEnd | undefined> {
    // Those that were left open before may lead nowhere any more, and would take the next request with them.
    for (const idle of Object.values(agent.freeSockets).flat()) idle?.destroy();
    const timeout = AbortSignal.timeout(answerMs);
    try {
      const signal = AbortSignal.any([timeout, this.#closing.signal]);
      const res = await ask(address, { path: healthPath, agent, signal });
      await readBytes(res);
      return res.statusCode === 200 ? undefined : { trouble: 'endpoint-unreachable', isSilent: false };
    } catch (error) {
      const code = timeout.aborted ? 'ETIMEDOUT' : systemErrorCode(error);
      return { trouble: troubleOf(code), isSilent: isSilence(code) };
    }
  }
}
