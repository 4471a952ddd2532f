import type { Machine } from './machine.ts';
import type { Processes } from './processes.ts';
import type { Proxies } from './proxies.ts';
import { known, median, percent } from './stats.ts';
import type { Upstream } from './upstreamProcess.ts';

/** Everything a row may use. */
export interface Bench {
  readonly quick: boolean;
  /** May what is missing be installed? */
  readonly install: boolean;
  readonly signal: AbortSignal;
  readonly machine: Machine;
  readonly processes: Processes;
  readonly upstream: Upstream;
  readonly proxies: Proxies;
  /** Gets the share of the cores that others took, for each round that counts. */
  readonly disturbance: number[];
  /** One progress line. */
  say(line: string): void;
}

/** One promise of design.md, as data. */
export interface Budget {
  /** Names the samples of a measurement that it judges. */
  readonly name: string;
  readonly what: string;
  readonly sense: 'at least' | 'at most' | 'below';
  readonly limit: number;
  readonly unit: string;
}

export interface Table {
  readonly head: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

/** What a row found out. */
export interface Measurement {
  /** By the name of a budget: one value a round. A budget without samples is reported as not measured. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
  readonly tables: readonly Table[];
  /** What a reader has to know to judge the numbers. */
  readonly notes: readonly string[];
}

/** One line of the table of budgets in design.md. */
export interface Row {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** How it is measured, for the report. */
  readonly method: string;
  readonly budgets: readonly Budget[];
  /** The load under which a CPU profile explains a missed budget. */
  readonly profile?: 'requests' | 'streams' | 'cold' | 'handshakes' | 'tls-requests' | 'policy';
  measure(bench: Bench): Promise<Measurement>;
}

/** What became of a budget. Undecided: other programs were busy, and the rounds do not agree. */
export interface Verdict {
  readonly status: 'met' | 'missed' | 'undecided' | 'unmeasured';
  readonly words: string;
}

/** Judges the median; says by how much it is not met. `disturbed` when other programs took a good part of the cores. */
export function judge({ sense, limit }: Budget, all: readonly number[], disturbed: boolean): Verdict {
  const samples = known(all);
  if (samples.length === 0) return { status: 'unmeasured', words: 'not measured' };
  const meets = (value: number): boolean =>
    sense === 'at least' ? value >= limit : sense === 'at most' ? value <= limit : value < limit;
  const value = median(samples);
  const agreed = samples.every((sample) => meets(sample) === meets(value));
  if (disturbed && !agreed) return { status: 'undecided', words: '**undecided**, others were busy' };
  if (meets(value)) return { status: 'met', words: 'met' };
  const by = Math.abs(value / limit - 1);
  if (!Number.isFinite(by)) return { status: 'missed', words: '**not met**' };
  const way = sense === 'at least' ? 'under' : 'over';
  return { status: 'missed', words: `**not met**, ${percent(by, by < 0.01 ? 1 : 0)} ${way}` };
}
