import type { TestContext } from 'node:test';
import { JsonReader } from '../../src/guard/body/jsonReader.ts';
import { Signal } from './signal.ts';

/** What guards in the process of the test read of JSON bodies. */
export interface Reading {
  readonly bytes: number;
  readonly pieces: number;
  /** Waits until more was read, for as long as this is not so. */
  until(condition: () => boolean): Promise<unknown>;
}

/**
 * Watches the reading of bodies until the test is over.
 *
 * @param onPiece called before each piece is read.
 */
export function watchReading(t: TestContext, onPiece: () => void = () => {}): Reading {
  const { write } = JsonReader.prototype;
  const changed = new Signal();
  const reading = {
    bytes: 0,
    pieces: 0,
    until: (condition: () => boolean) => changed.until(() => condition() || undefined),
  };
  t.mock.method(JsonReader.prototype, 'write', function (this: JsonReader, piece: Buffer) {
    onPiece();
    reading.bytes += piece.length;
    reading.pieces += 1;
    changed.notify();
    write.call(this, piece);
  });
  return reading;
}

/** Counts the turns of the event loop until the test is over. */
export function countTurns(t: TestContext): () => number {
  let turns = 0;
  let next = setImmediate(function turn() {
    turns += 1;
    next = setImmediate(turn);
  });
  t.after(() => clearImmediate(next));
  return () => turns;
}
