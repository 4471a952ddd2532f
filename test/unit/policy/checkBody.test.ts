import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkBody } from '../../../src/guard/policy/checkBody.ts';
import { accessOf, resolvePolicy } from '../../../src/guard/policy/policy.ts';
import type { RoleDocument } from '../../../src/guard/policy/policyDocument.ts';
import { routesOf } from '../../../src/guard/routes.ts';
import { checked, refusalOf } from '../body/support.ts';

/** What becomes of a body of somebody whose role says this. */
function outcomeOf(role: RoleDocument, path: string, body: string, remote: readonly string[] = []) {
  const access = accessOf(resolvePolicy({ roles: { tester: { can: ['read', 'infer', 'manage'], ...role } } }), {
    role: 'tester',
  });
  const [route] = routesOf(path);
  assert.ok(route);
  const before = checked(body);
  const outcome = checkBody(access, route, path, before, (name) => remote.includes(name));
  return 'refusal' in outcome
    ? outcome
    : { ...outcome, isSame: outcome.body === before, text: Buffer.concat(outcome.body.parts).toString() };
}

test('what may be sent is sent as it came, with its model by the short form of its name', () => {
  const body = '{ "model": "Library/LLama3.2", "keep_alive": "5m" }';
  const outcome = outcomeOf({}, '/api/chat', body);
  assert.ok('text' in outcome);
  assert.deepEqual([outcome.isSame, outcome.text, outcome.clamped], [true, body, []]);
  assert.equal(outcome.model?.toLowerCase(), 'llama3.2:latest');
});

test('what asks for too much is cut to size, and told of; length and facts are those of what is sent', () => {
  const clamps = { keepAlive: { max: '1h' }, contextTokens: 4_096 };
  const body = '{"model":"m","keep_alive":-1,"options":{"num_ctx":99999,"seed":1}}';
  const outcome = outcomeOf({ clamps }, '/api/chat', body);
  assert.ok('text' in outcome);
  assert.deepEqual(JSON.parse(outcome.text), {
    model: 'm',
    keep_alive: 3_600,
    options: { num_ctx: 4_096, seed: 1 },
  });
  assert.deepEqual(outcome.clamped.toSorted(), ['keep_alive', 'options.num_ctx']);
  assert.equal(outcome.body.length, Buffer.byteLength(outcome.text));
  assert.deepEqual(outcome.body.facts, checked(outcome.text).facts);
});

test('a bound that the policy puts in is no excess of the request', () => {
  const outcome = outcomeOf({ clamps: { outputTokens: 50 } }, '/v1/chat/completions', '{"model":"m"}');
  assert.ok('text' in outcome);
  assert.deepEqual([JSON.parse(outcome.text), outcome.clamped], [{ model: 'm', max_tokens: 50 }, []]);
});

test('a model is judged before anything is clamped: by its name, by where it runs, and whether there is one', () => {
  const clamps = { contextTokens: 1, excess: 'refuse' } as const;
  const role: RoleDocument = { clamps, models: { deny: ['secret*'] } };
  const asking = (model: string) => `{"model":${model},"options":{"num_ctx":2}}`;
  assert.deepEqual(outcomeOf(role, '/api/chat', asking('"secret"')), { refusal: 'model-not-permitted' });
  assert.deepEqual(outcomeOf(role, '/api/chat', asking('"m"'), ['m:latest']), { refusal: 'cloud-not-permitted' });
  assert.deepEqual(outcomeOf(role, '/api/chat', asking('""')), { refusal: 'no-model' });
  assert.deepEqual(outcomeOf(role, '/api/chat', asking('"m"')), {
    refusal: 'over-clamp',
    limit: 'a context (num_ctx) of 1 token',
  });
});

test('SEC-39: a model that is made gets round no clamp', () => {
  const clamps = { contextTokens: 4_096, options: ['num_ctx', 'stop'] };
  const create = (more: string) => outcomeOf({ clamps }, '/api/create', `{"model":"mine","from":"m",${more}}`);
  assert.deepEqual(create('"parameters":{"num_ctx":1000000}'), {
    refusal: 'over-clamp',
    limit: 'a context (num_ctx) of 4096 tokens',
  });
  assert.deepEqual(create('"parameters":{"num_gpu":0}'), {
    refusal: 'over-clamp',
    limit: 'these options: num_ctx, stop',
  });
  assert.deepEqual(create('"path":"/tmp/Modelfile"'), { refusal: 'bad-field' });
  for (const fine of ['{"num_ctx":4096,"stop":["x"]}', '{}', 'null']) {
    const made = create(`"parameters":${fine}`);
    assert.ok('text' in made && made.isSame, fine);
  }
});

test('a parameter is read as an option is: neither twice, nor in another letter case, nor of another kind', () => {
  for (const [parameters, refusal] of [
    ['{"num_ctx":1,"num_ctx":1000000}', 'ambiguous-json'],
    ['{"Num_ctx":1000000}', 'ambiguous-json'],
    ['{"num_ctx":"1000000"}', 'bad-field'],
    ['{"num_predict":[1000000]}', 'bad-field'],
    ['[{"num_ctx":1000000}]', 'bad-field'],
  ] as const) {
    assert.equal(refusalOf(`{"model":"m","parameters":${parameters}}`), refusal, parameters);
  }
  assert.equal(refusalOf('{"model":"m","Parameters":{}}'), 'ambiguous-json');
  assert.equal(refusalOf('{"model":"m","Path":"x"}'), 'ambiguous-json');
});

test('a list of images holds as many as Ollama makes of it: of null an empty one', () => {
  const role: RoleDocument = { clamps: { images: 1 } };
  const generate = (images: string) =>
    outcomeOf(role, '/api/generate', `{"model":"m","prompt":"x","images":${images}}`);
  const chat = (images: string) =>
    outcomeOf(role, '/api/chat', `{"model":"m","messages":[{"role":"user","images":${images}}]}`);
  for (const asking of [generate, chat]) {
    for (const images of ['[null,null]', '["aaaa",null]', '[[1],null]']) {
      assert.deepEqual(asking(images), { refusal: 'over-clamp', limit: '1 image' }, images);
    }
    for (const images of ['[null]', '[]', 'null']) assert.ok('text' in asking(images), images);
  }
  // Where there is one image at most, null is none.
  const text = '{"type":"text","text":"x","image_url":null}';
  const parts = outcomeOf(role, '/v1/chat/completions', `{"model":"m","messages":[{"content":[${text},${text}]}]}`);
  assert.ok('text' in parts);
  assert.deepEqual(checked('{"images":[null,"aaaa",null]}').facts.images, { count: 3, bytes: 4 });
});

test('of a body that names several models each is judged, and the one it is for is told', () => {
  const role: RoleDocument = { models: { deny: ['secret*'] } };
  for (const body of ['{"model":"secret","from":"m"}', '{"model":"m","from":"secret"}']) {
    assert.deepEqual(outcomeOf(role, '/api/create', body), { refusal: 'model-not-permitted' });
  }
  const made = outcomeOf(role, '/api/create', '{"model":"mine","from":"m"}');
  assert.ok('text' in made);
  assert.equal(made.model, 'mine:latest');
});
