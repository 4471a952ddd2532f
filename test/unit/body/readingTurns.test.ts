import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadingTurns, type ReadPiece } from '../../../src/guard/body/readingTurns.ts';

/** Turns of an event loop that goes round when the test says so, and bodies whose pieces take as long as it says. */
function scene() {
  let now = 0;
  const called: (() => void)[] = [];
  const read: string[] = [];
  const turns = new ReadingTurns({ now: () => now, later: (callback) => called.push(callback) });
  return {
    turns,
    read,
    /** How often the next turn was asked for. */
    called,
    body(name: string, pieces: number, ms: number): ReadPiece {
      let left = pieces;
      return () => {
        now += ms;
        left -= 1;
        read.push(name);
        return left > 0;
      };
    },
    /** One turn of the loop: what was read in it. */
    turn(): string {
      read.length = 0;
      for (const callback of called.splice(0)) callback();
      return read.join(' ');
    },
  };
}

test('a body that meets nobody is read at once, and nobody is called for it', () => {
  const { turns, read, called, body } = scene();
  assert.equal(turns.enter('anna', body('a', 3, 1)), false);
  assert.equal(read.join(' '), 'a a a');
  assert.equal(called.length, 0);
});

test('what a turn has no time for is read in the next ones, and asks for each of them once', () => {
  const { turns, read, called, body, turn } = scene();
  assert.equal(turns.enter('anna', body('a', 7, 2)), true);
  assert.equal(read.join(' '), 'a a');
  assert.equal(turns.enter('ben', body('b', 1, 2)), true, 'there is no time left for others either');
  assert.equal(called.length, 1);
  assert.equal(turn(), 'a b');
  assert.equal(called.length, 1);
  assert.equal(turn(), 'a a');
  assert.equal(turn(), 'a a');
  assert.equal(called.length, 0);
  assert.equal(turns.enter('anna', body('c', 1, 2)), true);
  assert.equal(turn(), 'c');
  assert.equal(turns.enter('anna', body('d', 1, 2)), false, 'the turn has time left');
});

test('one piece of each in order, and one holder with many bodies has no more turns than another', () => {
  const { turns, body, turn } = scene();
  turns.enter('mia', body('m', 3, 4));
  for (const name of ['m2', 'm3', 'm4']) turns.enter('mia', body(name, 2, 4));
  turns.enter('anna', body('a', 2, 4));
  const all = Array.from({ length: 10 }, turn).join(' ');
  assert.equal(all, 'm a m2 a m3 m4 m m2 m3 m4');
});

test('however many wait, a turn takes no more than a piece beyond its time', () => {
  const { turns, body, turn } = scene();
  for (let number = 0; number < 500; number += 1) turns.enter(`user${number % 7}`, body(`${number}`, 5, 3));
  const sizes = Array.from({ length: 1_300 }, () => turn().split(' ').filter(Boolean).length);
  assert.equal(Math.max(...sizes), 2);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    500 * 5 - 2,
    'and all of it is read in the end',
  );
});

test('who leaves is read no more, and leaves once', () => {
  const { turns, called, body, turn } = scene();
  const [first, second, third] = [body('a', 9, 4), body('b', 9, 4), body('c', 1, 4)];
  turns.enter('anna', first);
  turns.enter('anna', second);
  turns.enter('ben', third);
  turns.leave('anna', first);
  turns.leave('anna', first);
  assert.equal(turn(), 'b');
  turns.leave('anna', second);
  assert.equal(turn(), 'c');
  assert.equal(turn(), '');
  assert.equal(called.length, 0);
});

test('one that leaves while it is read does not come back', () => {
  const { turns, turn } = scene();
  let reads = 0;
  const read: ReadPiece = () => {
    reads += 1;
    turns.leave('anna', read);
    return false;
  };
  assert.equal(turns.enter('anna', read), false);
  turns.moved(0, 8 * 1024 * 1024);
  assert.equal(turns.enter('anna', read), true);
  turn();
  turn();
  assert.equal(reads, 2);
});

test('bytes and parts that only pass count as well', () => {
  const { turns, body } = scene();
  turns.moved(1, 3 * 1024 * 1024);
  assert.equal(turns.enter('anna', body('a', 1, 0)), false);
  turns.moved(600, 0);
  assert.equal(turns.enter('anna', body('a', 1, 0)), true);
});
