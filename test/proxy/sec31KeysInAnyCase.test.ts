// SEC-31: Go binds `Model` as `model`, and of several spellings the last one wins; a proxy that reads `model` alone decides
// on another model than Ollama runs.
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

/** The names that every route needs, so that only the variant is wrong with a body. */
const names = '"model":"llama","source":"llama","destination":"llama2","from":"llama"';

/** Letters that Go folds to s and to k. */
const longS = '\u017f';
const kelvin = '\u212a';

const variants = [
  ...['"Model"', '"MODEL"', '"modeL"', '"\\u004dodel"', '"mode\\u004c"', '"Name"', '"NAME"'],
  ...['"Source"', `"${longS}ource"`, '"Destination"', `"de${longS}tination"`, '"From"', '"FROM"'],
  ...['"Keep_Alive"', `"${kelvin}eep_alive"`, '"\\u212aeep_alive"', '"Options"', `"option${longS}"`, '"Insecure"'],
  ...['"Prompt"', '"Messages"', '"Tools"', '"Images"', '"Max_Tokens"', `"max_to${kelvin}ens"`, '"Remote_Host"'],
];

test('SEC-31: a key that differs from a known one in letter case alone is 400, before or behind it', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const route of withBody) {
    for (const variant of variants) {
      for (const text of [`{${names},${variant}:"secret"}`, `{${variant}:"secret",${names}}`, `{${variant}:null}`]) {
        const { status } = await guard.call(ask(team.adam, pathOf(route), text, route.method));
        assert.equal(status, 400, `${pathOf(route)} ${text}`);
      }
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-31: so is one among the options, the messages, the tools and the parts of a message', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const bodies = [
    '"options":{"Num_Ctx":1000000}',
    '"options":{"num_ctx":1,"NUM_CTX":1000000}',
    '"options":{"num_Predict":1}',
    '"messages":[{"role":"user","Images":["QUJD"]}]',
    '"messages":[{"role":"user","images":[],"IMAGES":["QUJD"]}]',
    '"messages":[{"Content":"x"}]',
    '"messages":[{"content":[{"type":"image_url","Image_Url":{"url":"data:"}}]}]',
    '"tools":[{"Type":"web_search"}]',
    '"tools":[{"type":"function","TYPE":"web_search"}]',
    '"input":[{"content":[{"Image_url":"data:"}]}]',
  ];
  for (const body of bodies) {
    for (const path of ['/api/chat', '/v1/responses', '/v1/messages']) {
      assert.equal((await guard.call(ask(team.mia, path, `{"model":"llama",${body}}`))).status, 400, body);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-31: a key is what its escapes stand for', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const escaped = '{"\\u006do\\u0064el":"\\u0073ecret"}';
  assert.equal((await guard.call(ask(team.adam, '/api/chat', escaped))).status, 403);
  assert.equal(upstream.connections, 0);
});

test('SEC-31: keys of which nobody knows anything are free', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const text = '{"model":"llama","format":{"properties":{"Model":1,"model":2}},"x":{"Model":{"MODEL":3}}}';
  assert.equal((await guard.call(ask(team.adam, '/api/chat', text))).status, 200);
  assert.equal(upstream.requests[0]?.text, text);
});
