import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Roster } from '../roster.ts';
import { oneLine } from '../share/quote.ts';
import type { ActiveRequest, Activity, ConnectedUser, DoneRequest } from './activity.ts';
import type { TokenWatcher } from './tokenCounter.ts';

const maxDone = 50;

/** A snapshot names no more requests under way, nor users who are connected, than a person would look through. */
const maxShown = 500;

/** What is known of a request when it begins. */
export type NewRequest = Pick<ActiveRequest, 'user' | 'method' | 'path' | 'address'>;

/** A request under way: what is learnt of it on its way is told to it. */
export class RequestTrack implements TokenWatcher {
  readonly #res: ServerResponse;
  readonly id: number;
  readonly #request: NewRequest;
  readonly #startedAt = Date.now();
  /** By `performance.now()`. */
  readonly #beganAt = performance.now();
  readonly #onChange: () => void;
  #model: string | undefined;
  #tokens: (() => number) | undefined;
  #position: (() => number) | undefined;
  #isStopped = false;

  constructor(id: number, res: ServerResponse, request: NewRequest, onChange: () => void) {
    this.id = id;
    this.#res = res;
    this.#request = request;
    this.#onChange = onChange;
  }

  sawModel(model: string): void {
    // A client names it as it likes: nothing in it may reach beyond its place in a row.
    this.#model = oneLine(model);
    this.#onChange();
  }

  counts(tokens: () => number): void {
    this.#tokens = tokens;
  }

  progresses(): void {
    this.#onChange();
  }

  /** It waits for its turn. @param position its place, asked for when it is shown; 0 when it is not waiting any more. */
  waits(position: () => number): void {
    this.#position = position;
    this.#onChange();
  }

  /** Its turn has come. */
  runs(): void {
    if (this.#position === undefined) return;
    this.#position = undefined;
    this.#onChange();
  }

  /** Somebody ends it. */
  stop(): void {
    this.#isStopped = true;
    // Not the response itself: one that waits behind another on its connection would close only when its turn came.
    this.#res.req.socket.destroy();
  }

  get active(): ActiveRequest {
    const waiting = this.#position?.() ?? 0;
    return {
      id: this.id,
      ...this.#request,
      startedAt: this.#startedAt,
      ...(this.#model !== undefined && { model: this.#model }),
      tokens: this.#tokens?.() ?? 0,
      ...(waiting > 0 && { waiting }),
    };
  }

  /** It is over: what is kept of it. */
  end(): DoneRequest {
    this.#position = undefined;
    const { writableEnded, statusCode } = this.#res;
    const ended = writableEnded ? 'complete' : 'cut';
    return {
      ...this.active,
      status: statusCode,
      milliseconds: Math.round(performance.now() - this.#beganAt),
      outcome: this.#isStopped ? 'stopped' : ended,
    };
  }
}

/** Keeps what goes on in a guard: requests under way, the last ones that are over, and who holds connections. */
export class ActivityTracker {
  readonly #onChange: () => void;
  readonly #active = new Roster<RequestTrack>();
  /** Oldest first. */
  readonly #done: DoneRequest[] = [];
  /** Connections whose last request was signed in, and whose they are. */
  readonly #connections = new Map<Socket, Omit<ConnectedUser, 'connections'>>();
  #lastId = 0;

  /** @param onChange called whenever a snapshot would differ from the one before. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** A request is on its way from here until its response closes. */
  begin(res: ServerResponse, request: NewRequest): RequestTrack {
    this.#lastId += 1;
    const track = new RequestTrack(this.#lastId, res, request, this.#onChange);
    const leave = this.#active.add(track);
    res.on('close', () => {
      leave();
      this.#end(track);
    });
    this.#onChange();
    return track;
  }

  /** Ends a request under way; false when there is none of this id. */
  stop(id: number): boolean {
    const track = this.#active.values().find((one) => one.id === id);
    track?.stop();
    return track !== undefined;
  }

  /** The last request on this connection was this user's. */
  signedIn(socket: Socket, user: string, address: string): void {
    if (socket.destroyed || this.#connections.get(socket)?.user === user) return;
    this.#connections.set(socket, { user, address });
    this.#onChange();
  }

  /** The last request on this connection was nobody's, or it is closed. */
  signedOut(socket: Socket): void {
    if (this.#connections.delete(socket)) this.#onChange();
  }

  snapshot(): Activity {
    const tracks = this.#active.values().sort((one, other) => one.id - other.id);
    const active = tracks.slice(0, maxShown).map((track) => track.active);
    return { active, done: this.#done.toReversed(), connected: this.#connected() };
  }

  #connected(): readonly ConnectedUser[] {
    const byUser = new Map<string, ConnectedUser>();
    for (const { user, address } of this.#connections.values()) {
      const key = `${user} ${address}`;
      const connections = (byUser.get(key)?.connections ?? 0) + 1;
      if (connections > 1 || byUser.size < maxShown) byUser.set(key, { user, address, connections });
    }
    return [...byUser.values()];
  }

  #end(track: RequestTrack): void {
    this.#done.push(track.end());
    if (this.#done.length > maxDone) this.#done.shift();
    this.#onChange();
  }
}
