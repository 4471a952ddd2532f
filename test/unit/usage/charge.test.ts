import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Charge } from '../../../src/guard/usage/charge.ts';

const second = 1_000;

/** A charge in time that stands still, and everything that it was settled for. */
function create() {
  const settled: number[] = [];
  let time = 0;
  const charge = new Charge({ onSettled: (tokens) => settled.push(tokens), now: () => time });
  const pass = (milliseconds: number) => {
    time += milliseconds;
  };
  return { charge, settled, pass };
}

const estimate = { prompt: 200, output: 1_000 };

test('a request that never ran is free, whether it was refused or its client left', () => {
  for (const wasAnswered of [true, false]) {
    const { charge, settled } = create();
    charge.closed(wasAnswered);
    assert.deepEqual(settled, [0]);
  }
});

test("an answer costs what Ollama counted, and is settled once both sides are done: Ollama's side first", () => {
  const { charge, settled, pass } = create();
  charge.sent(estimate);
  pass(5 * second);
  const end = charge.answering();
  end({ prompt: 7, output: 11 });
  assert.deepEqual(settled, [], 'the client is still taking it');
  charge.closed(true);
  assert.deepEqual(settled, [18]);
});

test("an answer costs what Ollama counted, and is settled once both sides are done: the client's side first", () => {
  const { charge, settled } = create();
  charge.sent(estimate);
  const end = charge.answering();
  charge.closed(false);
  assert.deepEqual(settled, [], 'Ollama may still say what it was');
  end({ prompt: 7, output: 11 });
  assert.deepEqual(settled, [18]);
});

test('a number that Ollama did not give is estimated: the prompt by its size, the answer by the time it took', () => {
  const costs = (count: Parameters<ReturnType<Charge['answering']>>[0]) => {
    const { charge, settled, pass } = create();
    charge.sent(estimate);
    const end = charge.answering();
    pass(3 * second);
    end(count);
    charge.closed(true);
    return settled;
  };
  assert.deepEqual(costs({ output: 11 }), [200 + 11]);
  assert.deepEqual(costs({ prompt: 7 }), [7 + 300]);
  assert.deepEqual(costs({}), [200 + 300]);
  assert.deepEqual(costs({ prompt: 0, output: 0 }), [0], 'an answer that took no tokens, such as an error, is free');
});

test('an answer is never thought longer than the request lets it be', () => {
  const { charge, settled, pass } = create();
  charge.sent(estimate);
  const end = charge.answering();
  pass(60 * 60 * second);
  end({});
  charge.closed(false);
  assert.deepEqual(settled, [1_200]);
});

test('a client that leaves before the answer begins pays for what it had Ollama do until then', () => {
  const { charge, settled, pass } = create();
  pass(60 * second);
  charge.sent(estimate);
  pass(2.005 * second);
  charge.closed(false);
  assert.deepEqual(settled, [200 + 201], 'time before it was sent does not count, a part of a token does');
});

test("a request is free that the guard answered in Ollama's place, which was not there or failed", () => {
  const { charge, settled, pass } = create();
  charge.sent(estimate);
  pass(10 * second);
  charge.closed(true);
  assert.deepEqual(settled, [0]);
});

test('a client that leaves a stream pays for the time in which nothing came', () => {
  const costs = (silentMs: number, output: number, left: 'left' | 'broken off') => {
    const { charge, settled } = create();
    charge.sent(estimate);
    const end = charge.answering();
    if (left === 'left') charge.closed(false);
    end({ output, silentMs });
    charge.closed(false);
    return settled;
  };
  assert.deepEqual(costs(60 * second, 90, 'left'), [200 + 1_000], 'never more than the request lets it be');
  assert.deepEqual(costs(3 * second, 90, 'left'), [200 + 90 + 300]);
  assert.deepEqual(costs(9, 90, 'left'), [200 + 90], 'between two tokens there is nothing');
  assert.deepEqual(costs(3 * second, 5_000, 'left'), [200 + 5_000], 'what came counts, whatever the bound');
  assert.deepEqual(costs(60 * second, 90, 'broken off'), [200 + 90], "what Ollama did not end is not its client's");
});

test('nothing is charged twice', () => {
  const { charge, settled, pass } = create();
  charge.sent(estimate);
  const end = charge.answering();
  end({ prompt: 1, output: 2 });
  charge.closed(true);
  pass(second);
  charge.closed(false);
  end({ prompt: 100, output: 100 });
  charge.answering()({});
  assert.deepEqual(settled, [3]);
});

test('time goes by itself where none is given', () => {
  const settled: number[] = [];
  const charge = new Charge({ onSettled: (tokens) => settled.push(tokens) });
  charge.sent({ prompt: 5, output: 0 });
  charge.closed(false);
  assert.deepEqual(settled, [5]);
});
