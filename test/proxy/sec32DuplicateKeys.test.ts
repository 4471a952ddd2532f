// SEC-32: of two keys alike Go takes the last one, others the first.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeUser } from '../../src/guard/identity/users.ts';
import { routes } from '../../src/guard/routes.ts';
import { ask, pathOf } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const users = changeUser(team.users, 'adam', { models: { deny: ['secret*'] } });
const withBody = routes.filter(({ body, needs }) => body === 'json' && needs !== 'denied');

/** What each route needs, with every key once; a duplicate is added to it. */
const named = '"model":"llama","source":"llama","destination":"llama2"';

test('SEC-32: a known key that is there twice is 400 on every route, whatever both say', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const twice = [
    `${named},"model":"secret"`,
    `"model":"secret",${named}`,
    `${named},"model":"llama"`,
    `${named},"\\u006dodel":"secret"`,
    `${named},"mo\\u0064el":null`,
    `${named},"name":"llama","name":"secret"`,
    `${named},"source":"secret"`,
    `${named},"destination":"secret"`,
    `${named},"from":"llama","from":"secret"`,
    `${named},"keep_alive":"5m","keep_alive":0`,
    `${named},"options":{},"options":{"num_ctx":1000000}`,
    `${named},"options":{"num_ctx":1,"num_ctx":1000000}`,
    `${named},"max_tokens":1,"max_tokens":1000000`,
    `${named},"insecure":false,"insecure":true`,
    `${named},"messages":[{"images":[],"images":["QUJD"]}]`,
    `${named},"tools":[{"type":"function","type":"web_search"}]`,
    `${named},"x":1,"x":2`,
  ];
  for (const route of withBody) {
    for (const members of twice) {
      const { status } = await guard.call(ask(team.adam, pathOf(route), `{${members}}`, route.method));
      assert.equal(status, 400, `${pathOf(route)} ${members}`);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-32: what the guard has checked is what Ollama gets, byte for byte', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const texts = [
    '{"model":"llama"}',
    '\r\n{ "model" :\t"ll\\u0061ma" , "prompt":"\\ud83d\\ude00 \u00e4" }\n ',
    '{"model":"llama","format":{"a":1,"a":2},"n":1.50e+3,"z":[[],{},""]}',
  ];
  for (const text of texts) {
    const { status } = await guard.call(ask(team.adam, '/api/generate', text));
    assert.deepEqual([status, upstream.requests.at(-1)?.text], [200, text]);
    assert.equal(upstream.requests.at(-1)?.headers['content-length'], String(Buffer.byteLength(text)));
  }
});
