/**
 * A large body holds up nobody: what is done of it in one go does not grow with it. Nothing here is measured by a clock on
 * the wall, which also runs while other programs do: bytes are counted, and the time that this thread alone has computed.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readForm } from '../../../src/guard/body/form.ts';
import { JsonReader } from '../../../src/guard/body/jsonReader.ts';
import { Pieces } from '../../../src/guard/body/pieces.ts';
import { readBody } from '../../../src/guard/body/readBody.ts';
import { MiB } from '../../../src/guard/config.ts';
import { computed } from '../../support/computed.ts';
import { RawClient } from '../../support/rawClient.ts';
import { countTurns } from '../../support/reading.ts';
import { startBodyServer } from './server.ts';
import { counting } from './support.ts';

const large = 20 * MiB;

/** What a socket gives at most. */
const chunkBytes = 64 * 1_024;

/** Milliseconds of computing for which the issue permits to hold the thread. */
const longest = 20;

interface Kind {
  readonly read: typeof readBody;
  readonly type: string;
  readonly head: string;
  readonly filling: string;
  readonly tail: string;
}

const kinds: Readonly<Record<string, Kind>> = {
  'an image in JSON': {
    read: readBody,
    type: 'application/json',
    head: '{"model":"x","messages":[{"role":"user","content":"hi","images":["',
    filling: 'QUJD',
    tail: '"]}],"options":{"num_ctx":4096}}',
  },
  'a prompt full of quotes': {
    read: readBody,
    type: 'application/json',
    head: '{"model":"x","prompt":"',
    filling: 'he said \\"a\\\\b\\" ',
    tail: '"}',
  },
  'a form': {
    read: readForm,
    type: 'multipart/form-data; boundary=b',
    head: '--b\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n',
    filling: 'RIFF',
    tail: '\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--\r\n',
  },
};

/** A body of about so many bytes. */
function bodyOf({ head, filling, tail }: Kind, bytes: number): Buffer {
  return Buffer.concat([Buffer.from(head), Buffer.from(filling.repeat(bytes / filling.length)), Buffer.from(tail)]);
}

function chunksOf(body: Buffer): readonly Buffer[] {
  return Array.from({ length: Math.ceil(body.length / chunkBytes) }, (_, i) =>
    body.subarray(i * chunkBytes, (i + 1) * chunkBytes),
  );
}

/** Reads a body that arrives in these chunks, and gives the milliseconds computed in each turn of the event loop. */
async function stepsOf({ read, type }: Kind, chunks: readonly Buffer[]): Promise<readonly number[]> {
  const socket = { pause: () => {}, resume: () => {} };
  const req = Object.assign(new EventEmitter(), { headers: { 'content-type': type }, destroyed: false, socket });
  const hold = { holder: 'anna', take: () => true, release: () => {} };
  const steps: number[] = [];
  let before = computed();
  const step = () => {
    const now = computed();
    steps.push(now - before);
    before = now;
  };
  const res = new EventEmitter() as unknown as ServerResponse;
  const body = read(req as unknown as IncomingMessage, res, { maxBytes: 2 * large, hold });
  step();
  for (const chunk of chunks) {
    req.emit('data', chunk);
    await nextTurn();
    step();
  }
  req.emit('end');
  const outcome = await body;
  step();
  assert.ok(outcome !== undefined && 'facts' in outcome && outcome.facts.values.get('model')?.value === 'x');
  return steps;
}

for (const [what, kind] of Object.entries(kinds)) {
  test(`reading ${what} of 20 MiB holds the thread for no more than ${longest} ms at a time`, async () => {
    const chunks = chunksOf(bodyOf(kind, large));
    const times: number[] = [];
    // Once in a while garbage is collected, which is no part of it.
    for (let i = 0; i < 3; i++) times.push(Math.max(...(await stepsOf(kind, chunks))));
    assert.ok(Math.min(...times) <= longest, `${times} ms`);
  });

  test(`a byte of ${what} costs as much in 20 MiB as in 1 MiB`, async () => {
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
    const costOf = async (bytes: number) => {
      const chunks = chunksOf(bodyOf(kind, bytes));
      let cost = 0;
      // The same 160 MiB in all: the operating system may count in ticks of milliseconds.
      for (let read = 0; read < 8 * large; read += bytes) cost += sum(await stepsOf(kind, chunks));
      return cost;
    };
    await stepsOf(kind, chunksOf(bodyOf(kind, large)));
    const [small, big] = [await costOf(MiB), await costOf(large)];
    // Twenty times as much if each chunk, or the end, cost as much as all that came before it.
    assert.ok(big <= 4 * small + longest, `${big} ms, and ${small} ms in small ones`);
  });
}

test('each byte of an image of 20 MiB is looked at once, as it arrives, and never again', () => {
  const watched = chunksOf(bodyOf(kinds['an image in JSON'] ?? assert.fail(), large)).map(counting);
  const reader = new JsonReader();
  const looks = () => watched.reduce((sum, { count }) => sum + count(), 0);
  for (const [i, { chunk, count }] of watched.entries()) {
    const before = looks();
    reader.write(chunk);
    assert.equal(looks() - before, count(), `chunk ${i} makes it look at another`);
    assert.ok(count() <= chunk.length + 1_024, `${count()} looks at chunk ${i}`);
  }
  const before = looks();
  assert.ok('facts' in reader.end());
  assert.equal(looks(), before);
});

test('what arrived is kept as it arrived, without a copy', () => {
  const chunks = chunksOf(Buffer.alloc(large));
  const pieces = new Pieces();
  for (const chunk of chunks) pieces.add(chunk);
  const parts = pieces.parts();
  assert.equal(parts.length, chunks.length);
  assert.ok(parts.every((part, i) => part === chunks[i]));
});

test('a body of 20 MiB comes in pieces of at most 64 KiB, and others have their turn between them', async (t) => {
  const turnOf = countTurns(t);
  const byTurn = new Map<number, number>();
  const server = await startBodyServer(
    t,
    (req, res, limits) => {
      const take = (bytes: number) => {
        assert.ok(bytes <= chunkBytes, `${bytes} bytes at once`);
        byTurn.set(turnOf(), (byTurn.get(turnOf()) ?? 0) + bytes);
        return limits.hold.take(bytes);
      };
      return readBody(req, res, { ...limits, hold: { ...limits.hold, take } });
    },
    { maxBytes: 2 * large, budget: { total: 4 * large } },
  );
  const body = bodyOf(kinds['an image in JSON'] ?? assert.fail(), large);
  const client = await RawClient.open(t, server.port);
  client.send({ method: 'POST', path: '/api/chat', body });
  await server.until(() => server.outcomes.length === 1);
  const [outcome] = server.outcomes;
  assert.ok(outcome !== undefined && 'facts' in outcome);
  assert.equal(outcome.length, body.length);
  // libuv reads a socket 32 times in a turn.
  assert.ok(Math.max(...byTurn.values()) <= 32 * chunkBytes, `${[...byTurn.values()]}`);
});
