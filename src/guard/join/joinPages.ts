import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RefusalCode, RefusalDetails } from '../answers.ts';
import { hasBody } from '../entry/body.ts';
import { isEncrypted } from '../entry/listener.ts';
import { modelNames } from '../forward/probe.ts';
import type { User } from '../identity/users.ts';
import { trustOf } from '../share/trust.ts';
import type { EndpointTls } from '../tls/certificate.ts';
import { joinAnswer } from './answer.ts';
import { readCode } from './code.ts';
import type { InviteDesk, InviteRefusal } from './inviteDesk.ts';
import { reachedAt } from './origin.ts';
import { caPath, type Page, readPage } from './pages.ts';

/** How long Ollama is waited for to name a model for snippets, in milliseconds, and what they name when it does not. */
const modelPatienceMs = 2_000;
const exampleModel = 'llama3.2';

/** A request for one of the guard's own pages. */
export interface JoinRequest {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The canonical path. */
  readonly path: string;
  readonly address: string;
  /** What the path takes, as `Allow` lists it. */
  readonly methods: string;
  /** Whether the endpoint is shared with a user where this request came in. */
  readonly isSharedWith: (user: User) => boolean;
}

/** What to answer; undefined when the client has left. */
export type JoinOutcome =
  | { readonly page: Page; readonly redeemed?: { readonly user: User; readonly keyId: string } }
  | {
      readonly refusal: RefusalCode;
      readonly details?: RefusalDetails;
      /** For the owner's log: why an invite was not taken. */
      readonly reason?: string;
    }
  | undefined;

/** What the pages work with. */
export interface JoinPagesPorts {
  readonly desk: InviteDesk;
  readonly upstream: string;
  /** A code is as short as headers are, and gets as long, in milliseconds. */
  readonly bodyTimeoutMs: number;
  readonly tls: () => EndpointTls | undefined;
  /** Whether a user may use a model: snippets name one that works. */
  readonly mayUse: (user: User, model: string) => boolean;
}

/**
 * Decides what the pages answer on which an invite is exchanged for an API key. They are for everyone: the credential
 * here is the code of the invite.
 */
export class JoinPages {
  readonly #ports: JoinPagesPorts;

  constructor(ports: JoinPagesPorts) {
    this.#ports = ports;
  }

  /** Rejects when an invite could not be exchanged, which is good still, or when a file of the page is missing. */
  async answer(request: JoinRequest): Promise<JoinOutcome> {
    const { req, path, methods } = request;
    if (!methods.split(', ').includes(req.method ?? '')) {
      return { refusal: 'method-not-allowed', details: { allow: methods } };
    }
    if (req.method === 'POST') return this.#redeem(request);
    if (hasBody(req)) return { refusal: 'unexpected-body', details: { close: true } };
    const page = path === caPath ? this.#caPage() : await readPage(path);
    return page === undefined ? { refusal: 'not-found' } : { page };
  }

  /** Undefined when there is nothing to trust that systems do not know. */
  #caPage(): Page | undefined {
    const anchor = this.#ports.tls()?.anchor;
    return anchor && { type: 'application/x-pem-file', body: anchor.pem };
  }

  /** Exchanges an invite for an API key. Nothing slow comes after it is used up. */
  async #redeem({ req, res, address, isSharedWith }: JoinRequest): Promise<JoinOutcome> {
    const { desk, bodyTimeoutMs, tls } = this.#ports;
    const read = await readCode(req, res, bodyTimeoutMs);
    if (read === undefined) return undefined;
    if ('refusal' in read) return { refusal: read.refusal, details: { close: true } };
    const offer = desk.check(read.code, address, isSharedWith);
    if ('refusal' in offer) return refused(offer);
    const model = await this.#modelFor(offer.user);
    const trust = isEncrypted(req.socket) ? trustOf(tls()) : undefined;
    const page = joinAnswer(offer, { url: reachedAt(req), model, ...(trust && { trust }) });
    // Nobody is there any more to be given the key.
    if (res.destroyed) return undefined;
    const refusal = await desk.exchange(offer, address);
    if (refusal !== undefined) return refused(refusal);
    return { page, redeemed: { user: offer.user, keyId: offer.key.id } };
  }

  async #modelFor(user: User): Promise<string> {
    const names = await modelNames(this.#ports.upstream, modelPatienceMs);
    return names.find((name) => this.#ports.mayUse(user, name)) ?? exampleModel;
  }
}

function refused({ refusal, reason, ...details }: InviteRefusal): JoinOutcome {
  return { refusal, details, reason };
}
