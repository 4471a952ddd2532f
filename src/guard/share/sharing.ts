/** What the owner chose when sharing was started. */
export interface SharePlan {
  /** The address to share on beside loopback; a loopback address shares what the guard listens on anyway. */
  readonly host: string;
  /** The network interface that address is of, such as `eth0`: sharing follows it when its address changes. */
  readonly interfaceName?: string;
  /** When it ends, in milliseconds since the epoch; until stopped when left out. */
  readonly until?: number;
  /** Ids of the users it is for; all of them when left out. */
  readonly users?: readonly string[];
}

/** Sharing under way. */
export interface Sharing extends SharePlan {
  /** Where teammates reach it, such as `http://192.168.1.5:11435`. */
  readonly url: string;
  readonly paused: boolean;
  /** What comes after the end: what was before the beginning. */
  readonly afterwards: 'loopback' | 'stop';
}
