// SEC-39: one of those who share a model unloads it (`keep_alive: 0`), pins it (`-1`), or has it loaded anew with another
// `num_ctx` (ollama#10263, #8903): each is a request that asks for more than its role may.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import type { Clamps } from '../../src/guard/policy/policyDocument.ts';
import { ask, get } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const clamps: Clamps = {
  keepAlive: { min: '5m', max: '30m' },
  contextTokens: 8_192,
  outputTokens: 512,
  images: 2,
  imageBytes: 64,
  options: ['temperature', 'num_ctx'],
};
const policyOf = (more: Clamps = {}) => ({ roles: { member: { clamps: { ...clamps, ...more } } } });

const chat = { model: 'x', messages: [{ role: 'user', content: 'hi' }] };
const prompt = { model: 'x', prompt: 'hi' };
type Body = Readonly<Record<string, unknown>>;
type Case = readonly [path: string, asked: Body, sent: Body, clamped: string | undefined];

/** What is asked for, and what becomes of it. */
const cases: readonly Case[] = [
  ['/api/generate', { ...prompt, keep_alive: 0 }, { keep_alive: 300 }, 'keep_alive'],
  ['/api/generate', { ...prompt, keep_alive: '0s' }, { keep_alive: 300 }, 'keep_alive'],
  ['/api/generate', { ...prompt, keep_alive: '10ms' }, { keep_alive: 300 }, 'keep_alive'],
  ['/api/chat', { ...chat, keep_alive: -1 }, { keep_alive: 1_800 }, 'keep_alive'],
  ['/api/chat', { ...chat, keep_alive: '-1m' }, { keep_alive: 1_800 }, 'keep_alive'],
  ['/api/chat', { ...chat, keep_alive: '24h' }, { keep_alive: 1_800 }, 'keep_alive'],
  ['/api/chat', { ...chat, keep_alive: 1e9 }, { keep_alive: 1_800 }, 'keep_alive'],
  ['/api/embed', { model: 'x', input: 'hi', keep_alive: 0 }, { keep_alive: 300 }, 'keep_alive'],
  ['/api/embeddings', { model: 'x', prompt: 'hi', keep_alive: '-1s' }, { keep_alive: 1_800 }, 'keep_alive'],
  ['/api/generate', { ...prompt, keep_alive: '10m' }, { keep_alive: '10m' }, undefined],
  // What only loads a model is no unloading.
  ['/api/generate', { model: 'x' }, {}, undefined],
  ['/api/generate', { model: 'x', keep_alive: -1 }, { keep_alive: 1_800 }, 'keep_alive'],
  ['/api/generate', { ...prompt, options: { num_ctx: 131_072 } }, { options: { num_ctx: 8_192 } }, 'options.num_ctx'],
  ['/api/chat', { ...chat, options: { num_ctx: 8_193 } }, { options: { num_ctx: 8_192 } }, 'options.num_ctx'],
  ['/api/chat', { ...chat, options: { num_ctx: 2_048 } }, { options: { num_ctx: 2_048 } }, undefined],
  [
    '/api/chat',
    { ...chat, options: { num_predict: 100_000 } },
    { options: { num_predict: 512 } },
    'options.num_predict',
  ],
  ['/api/chat', { ...chat, options: { num_predict: -1 } }, { options: { num_predict: 512 } }, 'options.num_predict'],
  ['/api/chat', { ...chat, options: { num_predict: 9 } }, { options: { num_predict: 9 } }, undefined],
  // Without a bound there would be none, and nobody asked for more than is allowed.
  ['/api/chat', chat, { options: { num_predict: 512 } }, undefined],
  ['/v1/chat/completions', { ...chat, max_tokens: 100_000 }, { max_tokens: 512 }, 'max_tokens'],
  [
    '/v1/chat/completions',
    { ...chat, max_completion_tokens: 100_000 },
    { max_completion_tokens: 512, max_tokens: 512 },
    'max_completion_tokens',
  ],
  ['/v1/completions', { ...prompt, max_tokens: -1 }, { max_tokens: 512 }, 'max_tokens'],
  [
    '/v1/responses',
    { model: 'x', input: 'hi', max_output_tokens: 1e6 },
    { max_output_tokens: 512 },
    'max_output_tokens',
  ],
  ['/v1/messages', { ...chat, max_tokens: 64_000 }, { max_tokens: 512 }, 'max_tokens'],
  [
    '/api/chat',
    { ...chat, options: { num_gpu: 0, temperature: 1 } },
    { options: { num_gpu: null } },
    'options.num_gpu',
  ],
  [
    '/api/chat',
    { ...chat, keep_alive: 0, options: { num_gpu: 99, num_ctx: 1e6, num_predict: -2 } },
    { keep_alive: 300, options: { num_gpu: null, num_ctx: 8_192, num_predict: 512 } },
    'keep_alive, options.num_ctx, options.num_predict, options.num_gpu',
  ],
];

/** Whether a body has all of this in it. */
function holds(body: Body, expected: Body, message: string): void {
  for (const [key, value] of Object.entries(expected)) {
    if (typeof value === 'object' && value !== null) holds(body[key] as Body, value as Body, message);
    else assert.equal(body[key], value, `${message}: ${key}`);
  }
}

test('SEC-39: what a request asks too much of is cut down, and its answer says so', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { policy: policyOf() } });
  for (const [path, asked, sent, clamped] of cases) {
    const what = `${path} ${JSON.stringify(asked)}`;
    const { status, headers } = await guard.call(ask(team.mia, path, asked));
    assert.deepEqual([status, headers['ollama-guard-clamped']], [200, clamped], what);
    const { text, headers: got } = upstream.requests.at(-1) ?? assert.fail();
    assert.equal(got['content-length'], String(Buffer.byteLength(text)));
    holds(JSON.parse(text), sent, what);
    for (const key of ['model', 'prompt', 'messages', 'input']) assert.deepEqual(JSON.parse(text)[key], asked[key]);
  }
});

test('SEC-39: where the policy refuses, it is 403 in place of that', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { policy: policyOf({ excess: 'refuse' }) } });
  for (const [path, asked, , clamped] of cases) {
    const { status, headers } = await guard.call(ask(team.mia, path, asked));
    assert.equal(status, clamped === undefined ? 200 : 403, `${path} ${JSON.stringify(asked)}`);
    assert.equal(headers['ollama-guard-clamped'], undefined);
  }
  assert.equal(upstream.requests.length, cases.filter(([, , , clamped]) => clamped === undefined).length);
});

test('SEC-39: a call that does nothing but unload is refused, in every form of it', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { policy: policyOf() } });
  for (const keep_alive of [0, -0, 0.0, '0', '0s', '0h0m', '-0', '+0s', '.0s']) {
    for (const [path, body] of [
      ['/api/generate', { model: 'x' }],
      ['/api/generate', { model: 'x', prompt: '' }],
      ['/api/generate', { model: 'x', prompt: null }],
      ['/api/chat', { model: 'x' }],
      ['/api/chat', { model: 'x', messages: [] }],
      ['/api/chat', { model: 'x', messages: null }],
    ] as const) {
      const { status, text } = await guard.call(ask(team.mia, path, { ...body, keep_alive }));
      assert.equal(status, 403, `${path} ${JSON.stringify({ ...body, keep_alive })}`);
      assert.match(text, /unloading/);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-39: times and numbers that others read otherwise are refused', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { policy: policyOf() } });
  const bodies = [
    ...[
      '"-1"',
      '"1"',
      '""',
      '"5 m"',
      '"forever"',
      '"1d"',
      '"0x10s"',
      '9e99',
      '1e400',
      '"9999999999h"',
      '[]',
      'true',
    ].map((time) => `{"model":"x","prompt":"hi","keep_alive":${time}}`),
    ...['"8192"', '[1]', '{}', 'true', '1e400'].flatMap((number) => [
      `{"model":"x","prompt":"hi","options":{"num_ctx":${number}}}`,
      `{"model":"x","prompt":"hi","options":{"num_predict":${number}}}`,
      `{"model":"x","prompt":"hi","max_tokens":${number}}`,
    ]),
    '{"model":"x","prompt":"hi","options":[]}',
    '{"model":"x","prompt":"hi","options":"num_ctx"}',
  ];
  for (const body of bodies) assert.equal((await guard.call(ask(team.mia, '/api/generate', body))).status, 400, body);
  assert.equal(upstream.connections, 0);
});

test('SEC-39: more images, or larger ones, are refused in every dialect', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { policy: policyOf() } });
  const url = (data: string) => `data:image/png;base64,${data}`;
  const shapes: Readonly<Record<string, (images: readonly string[]) => readonly [path: string, body: object]>> = {
    generate: (images) => ['/api/generate', { model: 'x', prompt: 'hi', images }],
    chat: (images) => [
      '/api/chat',
      { model: 'x', messages: images.map((image) => ({ role: 'user', images: [image] })) },
    ],
    completions: (images) => {
      const content = images.map((image) => ({ type: 'image_url', image_url: { url: url(image) } }));
      return ['/v1/chat/completions', { model: 'x', messages: [{ role: 'user', content }] }];
    },
    responses: (images) => {
      const content = images.map((image) => ({ type: 'input_image', image_url: url(image) }));
      return ['/v1/responses', { model: 'x', input: [{ role: 'user', content }] }];
    },
    messages: (images) => {
      const content = images.map((data) => ({ type: 'image', source: { type: 'base64', data } }));
      return ['/v1/messages', { model: 'x', max_tokens: 5, messages: [{ role: 'user', content }] }];
    },
  };
  for (const [dialect, shape] of Object.entries(shapes)) {
    const status = async (...images: string[]) => (await guard.call(ask(team.mia, ...shape(images)))).status;
    assert.equal(await status('QUJD', 'QUJD'), 200, dialect);
    assert.equal(await status('QUJD', 'QUJD', 'QUJD'), 403, dialect);
    assert.equal(await status('QUJD'.repeat(17)), 403, dialect);
  }
});

test('SEC-39: without a policy a member neither unloads nor pins a model, and an admin may', async (t) => {
  const demo = await startDemoOllama({ tokens: 3 });
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url);
  const loaded = async (): Promise<readonly number[]> => {
    const { models } = JSON.parse((await guard.call(get(team.mia, '/api/ps'))).text) as {
      models: { expires_at: string }[];
    };
    return models.map(({ expires_at }) => (Date.parse(expires_at) - Date.now()) / 60_000);
  };
  const generate = (person: typeof team.mia, body: object) =>
    guard.call(ask(person, '/api/generate', { model: 'demo', stream: false, ...body }));
  await generate(team.mia, { prompt: 'hi', keep_alive: -1 });
  assert.ok(((await loaded())[0] ?? 0) <= 60);
  assert.equal((await generate(team.mia, { keep_alive: 0 })).status, 403);
  await generate(team.mia, { prompt: 'hi', keep_alive: 0 });
  assert.equal((await loaded()).length, 1);
  assert.equal((await generate(team.adam, { keep_alive: 0 })).status, 200);
  assert.deepEqual(await loaded(), []);
});
