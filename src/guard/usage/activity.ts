/** A request that is being answered right now. */
export interface ActiveRequest {
  /** Tells requests of one guard apart; counts up from 1. */
  readonly id: number;
  /** The user's name. */
  readonly user: string;
  readonly method: string;
  /** The canonical path. */
  readonly path: string;
  readonly address: string;
  /** The model by the short form of its name; undefined until it was seen, or when there is none. */
  readonly model?: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Its place among those that wait for their turn, from 1; left out when its turn has come. */
  readonly waiting?: number;
  /** Answer tokens so far: counted by record while it streams, Ollama's own count once that was seen. */
  readonly tokens: number;
}

/** A request that is over. */
export interface DoneRequest extends ActiveRequest {
  readonly status: number;
  readonly milliseconds: number;
  /** `cut`: the client or Ollama left before the end; `stopped`: the owner stopped it. */
  readonly outcome: 'complete' | 'cut' | 'stopped';
}

/** Who holds connections open. */
export interface ConnectedUser {
  readonly user: string;
  readonly address: string;
  readonly connections: number;
}

/** What goes on in a guard. */
export interface Activity {
  /** Oldest first. */
  readonly active: readonly ActiveRequest[];
  /** Newest first, at most 50. */
  readonly done: readonly DoneRequest[];
  readonly connected: readonly ConnectedUser[];
}
