import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Admission, Permit } from './admission/admission.ts';
import type { Caller } from './admission/types.ts';
import type { Refusal, RefusalCode, RefusalDetails } from './answers.ts';
import { BodyBudget } from './body/budget.ts';
import { editBody } from './body/edits.ts';
import { readForm } from './body/form.ts';
import { readBody } from './body/readBody.ts';
import { afterEarlierAnswers } from './entry/pipelining.ts';
import type { Forwarding } from './forward/forward.ts';
import type { Identity } from './identity/authenticator.ts';
import { checkBody } from './policy/checkBody.ts';
import { filterList, type ListMember, seesAll } from './policy/lists.ts';
import { judgePath } from './policy/models.ts';
import { boundOutput } from './policy/outputFields.ts';
import type { Access } from './policy/policy.ts';
import type { RemoteModels } from './policy/remoteModels.ts';
import type { Route } from './routes.ts';
import { assumedOutputTokens, estimateTokens } from './usage/tokens.ts';
import type { RequestTrack } from './usage/tracker.ts';

/** What checks work with. */
export interface ChecksPorts {
  readonly admission: Admission;
  readonly remoteModels: RemoteModels;
  readonly maxBodyBytes: number;
}

/** A request whose route its user may call. */
export interface Entered {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The canonical path. */
  readonly path: string;
  readonly identity: Identity;
  readonly access: Access;
  readonly route: Route;
  /** To be called once, when nothing stands against the request but its turn: it is under way from then on. */
  readonly begin: () => RequestTrack;
}

/** What a request is sent with. */
export interface Sending extends Pick<Forwarding, 'checked' | 'rewrite'> {
  /** When it has begun already. */
  readonly track?: RequestTrack;
  readonly permit?: Permit;
  /** What it asked too much of. */
  readonly clamped?: readonly string[];
}

/** How a request may be sent, or why not; undefined when its client has left. */
export type Checked = { readonly send: Sending } | Refusal | undefined;

/** Bodies in memory at once beside small ones, in the largest body that is allowed; one user alone gets half of them. */
const bodiesInAll = 8;

/** What cannot go on by its headers alone. */
export function needsChecks({ route, access }: Pick<Entered, 'route' | 'access'>): boolean {
  const { body, names, lists } = route;
  return body === 'json' || body === 'form' || names === 'path' || (lists !== undefined && !seesAll(access));
}

/** Limits, the body, the policy on what it says, and a turn. */
export class Checks {
  readonly #ports: ChecksPorts;
  readonly #bodies: BodyBudget;

  constructor(ports: ChecksPorts) {
    const { maxBodyBytes } = ports;
    this.#ports = ports;
    this.#bodies = new BodyBudget({ total: bodiesInAll * maxBodyBytes });
  }

  /** Rejects when something fails that nobody foresaw; then nothing may be sent. */
  async run(entered: Entered): Promise<Checked> {
    const { res, access, route, identity } = entered;
    if (route.names === 'path') return await this.#checkPath(entered);
    if (route.lists !== undefined) return await this.#checkList(entered, route.lists);
    const permit = route.needs === 'infer' ? await this.#ports.admission.begin(callerOf(identity, access)) : undefined;
    if (permit !== undefined && 'refusal' in permit) return permit;
    const hold = this.#bodies.hold(identity.user.id);
    const over = () => {
      hold.release();
      permit?.charge.closed(res.writableEnded);
    };
    // What begins now would wait for ever for a close that has been.
    if (res.destroyed) {
      over();
      return undefined;
    }
    res.on('close', over);
    return await this.#checkBody(entered, hold, permit);
  }

  async #checkPath({ access, path }: Entered): Promise<Checked> {
    if (!(await this.#knowsRemote(access))) return refused('upstream-down');
    const verdict = judgePath(access, path, this.#isRemote);
    return verdict.allowed ? { send: {} } : refused(verdict.refusal);
  }

  async #checkList({ access, path }: Entered, member: ListMember): Promise<Checked> {
    if (!(await this.#knowsRemote(access))) return refused('upstream-down');
    const rewrite = (body: Buffer) => {
      if (path === '/api/tags') this.#ports.remoteModels.learn(body);
      return filterList(access, member, body, this.#isRemote);
    };
    return { send: { rewrite } };
  }

  async #checkBody(
    { req, res, path, access, route, begin }: Entered,
    hold: ReturnType<BodyBudget['hold']>,
    permit: Permit | undefined,
  ): Promise<Checked> {
    const refuse = (refusal: RefusalCode, limit?: string) =>
      refused(refusal, { ...(limit !== undefined && { limit }), ...(permit && { headers: permit.headers }) });
    const { maxBodyBytes: maxBytes } = this.#ports;
    const read = await (route.body === 'form' ? readForm : readBody)(req, res, { maxBytes, hold });
    if (read === undefined) return undefined;
    if ('refusal' in read) {
      if (read.refusal === 'too-many-bodies') permit?.forgive();
      return refuse(read.refusal);
    }
    // Once the body is there: it may have taken as long as making a new alias does.
    if (!(await this.#knowsRemote(access))) return refuse('upstream-down');
    const outcome = checkBody(access, route, path, read, this.#isRemote);
    if ('refusal' in outcome) return refuse(outcome.refusal, outcome.limit);
    const { body, model, clamped } = outcome;
    // One that begins now would never be over.
    if (res.destroyed) return undefined;
    const track = begin();
    if (model !== undefined) track.sawModel(model);
    if (permit === undefined) return { send: { track, checked: body, clamped } };

    // One whose answer cannot leave yet would have its turn for nothing.
    if (res.socket === null) await afterEarlierAnswers(res);
    if (res.destroyed) return undefined;
    const bounded = permit.limitsTokens ? editBody(body, boundOutput(path, body.facts, assumedOutputTokens)) : body;
    const { prompt, mostPrompt, output = assumedOutputTokens } = estimateTokens(path, bounded.facts);
    let hasWaited = false;
    const held = await permit.turn({ prompt, output, most: mostPrompt + output }, () => {
      hasWaited = true;
      track.waits(() => permit.position);
    });
    if (held !== undefined) return held;
    const elsewhere = hasWaited ? await this.#elsewhere(access, model) : undefined;
    if (elsewhere !== undefined) return refuse(elsewhere);
    if (res.destroyed) return undefined;
    track.runs();
    permit.charge.sent({ prompt, output });
    return { send: { track, checked: bounded, clamped, permit } };
  }

  readonly #isRemote = (name: string): boolean => this.#ports.remoteModels.isRemote(name);

  /** Whether it is known which models run on ollama.com, as far as that matters to this user. */
  #knowsRemote(access: Access): boolean | Promise<boolean> {
    return access.cloud || this.#ports.remoteModels.fresh();
  }

  /** Why a model that was judged before may not be used by now: its name may have become an alias meanwhile. */
  async #elsewhere(access: Access, model = ''): Promise<RefusalCode | undefined> {
    if (!(await this.#knowsRemote(access))) return 'upstream-down';
    return !access.cloud && this.#isRemote(model) ? 'cloud-not-permitted' : undefined;
  }
}

const refused = (refusal: RefusalCode, details: RefusalDetails = {}): Refusal => ({ refusal, details });

/** Whose request it is, for limits and turns. */
function callerOf({ user, keyId, publicKeyId }: Identity, access: Access): Caller {
  const { limits, limitsPerKey, priority, weight } = access;
  const key = keyId ?? publicKeyId;
  return {
    id: user.id,
    name: user.name,
    ...(key !== undefined && { keyId: key }),
    limits,
    limitsPerKey,
    priority,
    weight,
  };
}
