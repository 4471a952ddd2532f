import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { oneLine } from '../share/quote.ts';
import type { ActiveRequest, Activity, ConnectedUser, DoneRequest } from './activity.ts';

const maxDone = 50;

/** A snapshot names no more requests under way, nor users who are connected, than a person would look through. */
const maxShown = 500;

/** A request under way as it is tracked; what is learnt of it on its way is added. */
interface Tracked extends ActiveRequest {
  model?: string;
  tokens: number;
  position: (() => number) | undefined;
  stopped: boolean;
  readonly res: ServerResponse;
  /** By `performance.now()`. */
  readonly beganAt: number;
}

/** What is known of a request when it begins. */
export type NewRequest = Pick<ActiveRequest, 'user' | 'method' | 'path' | 'address'>;

/** A request under way, for whoever watches it. */
export interface RequestTrack {
  sawModel(model: string): void;
  sawTokens(tokens: number): void;
  /** It waits for its turn. @param position its place, asked for when it is shown; 0 when it is not waiting any more. */
  waits(position: () => number): void;
  /** Its turn has come. */
  runs(): void;
}

/** Keeps what goes on in a guard: requests under way, the last ones that are over, and who holds connections. */
export class ActivityTracker {
  readonly #onChange: () => void;
  readonly #active = new Map<number, Tracked>();
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
    const tracked: Tracked = {
      id: this.#lastId,
      ...request,
      startedAt: Date.now(),
      tokens: 0,
      position: undefined,
      stopped: false,
      res,
      beganAt: performance.now(),
    };
    this.#active.set(tracked.id, tracked);
    res.once('close', () => this.#end(tracked));
    this.#onChange();
    return {
      sawModel: (model) => {
        // A client names it as it likes: nothing in it may reach beyond its place in a row.
        tracked.model = oneLine(model);
        this.#onChange();
      },
      sawTokens: (tokens) => {
        if (tracked.tokens === tokens) return;
        tracked.tokens = tokens;
        this.#onChange();
      },
      waits: (position) => {
        tracked.position = position;
        this.#onChange();
      },
      runs: () => {
        if (tracked.position === undefined) return;
        tracked.position = undefined;
        this.#onChange();
      },
    };
  }

  /** Ends a request under way; false when there is none of this id. */
  stop(id: number): boolean {
    const tracked = this.#active.get(id);
    if (tracked === undefined) return false;
    tracked.stopped = true;
    // Not the response itself: one that waits behind another on its connection would close only when its turn came.
    tracked.res.req.socket.destroy();
    return true;
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
    const active = [...this.#active.values()].slice(0, maxShown).map(activeRequest);
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

  #end(tracked: Tracked): void {
    this.#active.delete(tracked.id);
    tracked.position = undefined;
    const { res, stopped, beganAt } = tracked;
    const ended = res.writableEnded ? 'complete' : 'cut';
    this.#done.push({
      ...activeRequest(tracked),
      status: res.statusCode,
      milliseconds: Math.round(performance.now() - beganAt),
      outcome: stopped ? 'stopped' : ended,
    });
    if (this.#done.length > maxDone) this.#done.shift();
    this.#onChange();
  }
}

function activeRequest({
  res: _res,
  beganAt: _beganAt,
  stopped: _stopped,
  position,
  ...request
}: Tracked): ActiveRequest {
  const waiting = position?.() ?? 0;
  return waiting > 0 ? { ...request, waiting } : request;
}
