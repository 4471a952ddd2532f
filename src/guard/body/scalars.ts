/**
 * Numbers, `true`, `false` and `null` as RFC 8259 writes them, as one automaton: a byte at a time, wherever the bytes
 * are cut. State 0 is before the first byte.
 */

/** What a scalar is. */
export type ScalarKind = 'number' | 'boolean' | 'null';

const digits = '0123456789';

/** A number: which bytes lead from a state to which. */
const steps: readonly (readonly [from: number, bytes: string, to: number])[] = [
  [0, '-', 1],
  [0, '0', 2],
  [0, '123456789', 3],
  [1, '0', 2],
  [1, '123456789', 3],
  [2, '.', 4],
  [2, 'eE', 6],
  [3, digits, 3],
  [3, '.', 4],
  [3, 'eE', 6],
  [4, digits, 5],
  [5, digits, 5],
  [5, 'eE', 6],
  [6, '+-', 7],
  [6, digits, 8],
  [7, digits, 8],
  [8, digits, 8],
];

const words = { true: 'boolean', false: 'boolean', null: 'null' } as const;

/** A row of 256 states for each state, by the byte that comes. */
const transitions = new Uint8Array(32 * 256);

/** Where a scalar may end. */
const ends: (ScalarKind | undefined)[] = [];

for (const [from, bytes, to] of steps) {
  for (const byte of Buffer.from(bytes)) transitions[from * 256 + byte] = to;
}
for (const at of [2, 3, 5, 8]) ends[at] = 'number';
let last = 8;
for (const [word, kind] of Object.entries(words)) {
  let from = 0;
  for (const byte of Buffer.from(word)) {
    last += 1;
    transitions[from * 256 + byte] = last;
    from = last;
  }
  ends[last] = kind;
}

/** The state after one more byte; 0 when the byte is no part of the scalar. */
export function scalarStep(state: number, byte: number): number {
  return transitions[state * 256 + byte] ?? 0;
}

/** What has been read when a scalar ends in this state; undefined when none may end there. */
export function scalarEnd(state: number): ScalarKind | undefined {
  return ends[state];
}
