// What Ollama is asked for is within what a role may ask for, for any options, in any form: read as Go reads it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Fields, fieldsOf, keepAliveOf } from '../../src/demo/fields.ts';
import type { Clamps } from '../../src/guard/policy/policyDocument.ts';
import { ask } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const minute = 60_000;
const maxContext = 4_096;
const maxOutput = 128;
const allowed = ['num_ctx', 'num_predict', 'temperature', 'stop'];
const clamps: Clamps = {
  keepAlive: { min: '1m', max: '1h' },
  contextTokens: maxContext,
  outputTokens: maxOutput,
  options: allowed,
};

/** Where each path's answer is bounded. */
const bounds: Readonly<Record<string, string>> = {
  '/api/generate': 'num_predict',
  '/api/chat': 'num_predict',
  '/v1/chat/completions': 'max_tokens',
  '/v1/completions': 'max_tokens',
  '/v1/responses': 'max_output_tokens',
  '/v1/messages': 'max_tokens',
};

/** A number as a client may write it. */
const number = fc.oneof(
  fc.integer({ min: -3, max: 300 }).map(String),
  fc.integer().map(String),
  fc.double().map((value) => JSON.stringify(value)),
  fc.constantFrom('0', '-0', '-1', '1e9', '1E+2', '0.5', '-0.5', '128.9', '129', '4096', '4097', '2147483647'),
  fc.constantFrom('2147483648', '9007199254740993', '1e308', '-1e308', '1e309', '1e-400', 'null', '"128"', 'true'),
);

const duration = fc.oneof(
  number,
  fc
    .tuple(
      fc.constantFrom('', '-', '+'),
      fc.array(fc.tuple(number, fc.constantFrom('ns', 'ms', 's', 'm', 'h')), { maxLength: 2 }),
    )
    .map(([sign, parts]) => JSON.stringify(sign + parts.map((part) => part.join('')).join(''))),
  fc.constantFrom('"0"', '"-1"', '"5m"', '"59s"', '"61m"', '"1h0m1s"', '"2562047h47m"', '"9999999h"', '""', '"1d"'),
);

const optionNames = [
  ...allowed,
  'num_gpu',
  'num_thread',
  'seed',
  'NUM_CTX',
  'Num_Predict',
  'unknown',
  'a"b',
  '__proto__',
];
const option = fc.tuple(
  fc.constantFrom(...optionNames).map((name) => JSON.stringify(name)),
  fc.oneof({ weight: 4, arbitrary: number }, { weight: 1, arbitrary: fc.json({ maxDepth: 1 }) }),
);
const options = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.array(option, { maxLength: 4 }).map((all) => `{${all.map((pair) => pair.join(':')).join()}}`),
  },
  { weight: 1, arbitrary: fc.constantFrom('null', '[]', '{}', ' { } ', '""') },
);

const member = fc.oneof(
  fc.tuple(fc.constant('"keep_alive"'), duration),
  fc.tuple(fc.constant('"options"'), options),
  fc.tuple(fc.constantFrom('"max_tokens"', '"max_completion_tokens"', '"max_output_tokens"'), number),
  fc.tuple(fc.constantFrom('"prompt"', '"messages"', '"stream"'), fc.constantFrom('""', '[]', 'null', 'true', '"hi"')),
);

/** Beside the model; keys may be there twice, which is for the guard to see. */
const bodies = fc
  .tuple(fc.array(member, { maxLength: 4 }), fc.nat({ max: 4 }), fc.constantFrom('', ' ', '\n\t'))
  .map(([members, at, space]) => {
    const pairs = members.map(([key, value]) => `${key}${space}:${value}`);
    pairs.splice(at, 0, `"model":${space}"x"`);
    return `{${space}${pairs.join(`${space},`)}${space}}`;
  });

/** Whether Ollama would set an option to this: null is none (`Options.FromMap`). */
const isSet = (value: unknown): boolean => value !== undefined && value !== null;

function isWithin(path: string, body: Fields): void {
  const keepAlive = keepAliveOf(body);
  if (keepAlive !== undefined) assert.ok(keepAlive >= minute && keepAlive <= 60 * minute, `keep_alive ${keepAlive} ms`);
  const given = fieldsOf(body.options);
  for (const [name, value] of Object.entries(given)) {
    assert.ok(!isSet(value) || allowed.includes(name), `option ${name}`);
  }
  if (isSet(given.num_ctx)) assert.ok(Math.trunc(Number(given.num_ctx)) <= maxContext, `num_ctx ${given.num_ctx}`);
  const bound = bounds[path] ?? assert.fail();
  const output = Math.trunc(Number((bound === 'num_predict' ? given : body)[bound]));
  assert.ok(output >= 1 && output <= maxOutput, `${bound} ${output}`);
}

for (const excess of ['clamp', 'refuse'] as const) {
  test(`for any options, what Ollama is asked for is within what is allowed (${excess})`, async (t) => {
    const upstream = await startFakeOllama(t);
    const policy = { roles: { member: { clamps: { ...clamps, excess } } } };
    const guard = await startGuard(t, upstream, { config: { policy } });
    const counts = { sent: 0, clamped: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(bodies, fc.constantFrom(...Object.keys(bounds)), async (body, path) => {
        const before = upstream.requests.length;
        const { status, headers } = await guard.call(ask(team.mia, path, body));
        const reached = upstream.requests.slice(before);
        assert.equal(reached.length, status === 200 ? 1 : 0);
        for (const { text } of reached) {
          const read = fieldsOf(JSON.parse(text));
          isWithin(path, read);
          assert.equal(read.model, 'x');
          counts.sent += 1;
        }
        if (headers['ollama-guard-clamped'] !== undefined) {
          assert.equal(excess, 'clamp');
          assert.match(headers['ollama-guard-clamped'], /^[\w.]+(, [\w.]+)*$/);
          counts.clamped += 1;
        }
        if (status === 403) counts.refused += 1;
      }),
      { numRuns: 1_000 },
    );
    assert.ok(counts.sent > 50, `${counts.sent} were sent`);
    assert.ok(excess === 'refuse' ? counts.refused > 50 : counts.clamped > 50, JSON.stringify(counts));
  });
}
