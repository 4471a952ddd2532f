/** Whoever comes with a token has the limits of the role that the token gives, whichever token it is. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Limits } from '../../src/guard/policy/policyDocument.ts';
import { type Answer, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { startOidcProvider } from '../support/oidcProvider.ts';
import { team, withPerson } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

/** Ollama's answer to a request that took seven tokens. */
const answer: Answer = (reply) => reply.json({ response: 'x', done: true, prompt_eval_count: 3, eval_count: 4 });

const body = JSON.stringify({ model: 'x', prompt: 'hi', stream: false, options: { num_predict: 4 } });
const generate = (authorization: string) => ({
  method: 'POST',
  path: '/api/generate',
  headers: { authorization, 'content-type': 'application/json' },
  body,
});

async function start(t: TestContext, limits: Limits, does = answer) {
  const provider = await startOidcProvider(t);
  const upstream = await startFakeOllama(t, does);
  // Somebody of the same name who comes with a key is somebody else.
  const { users, person: anna } = withPerson(team.users, 'anna', 'member');
  const policy = { roles: { member: { limits } }, issuers: [provider.config] };
  const guard = await startGuard(t, upstream, { users, config: { policy } });
  const requestOf = async (name: string) => generate(`Bearer ${(await provider.signIn(name)).accessToken}`);
  return { provider, upstream, guard, anna, requestOf };
}

for (const [limit, limits, words] of [
  ['requests per minute', { requestsPerMinute: 2 }, /as many requests as you may for now/],
  ['tokens per minute', { tokensPerMinute: 14 }, /tokens/],
  ['tokens per day', { tokensPerDay: 14 }, /tokens/],
] as const) {
  test(`a token's ${limit} are those of its role, and a new token gives no more`, async (t) => {
    const { provider, upstream, guard, anna, requestOf } = await start(t, limits);
    const first = await requestOf('anna');
    for (let number = 0; number < 2; number += 1) {
      const { status, headers } = await guard.call(first);
      assert.equal(status, 200);
      assert.equal(headers['ratelimit-limit'], String(Object.values(limits)[0]));
    }
    const again = await requestOf('anna');
    assert.notEqual(again.headers.authorization, first.headers.authorization);
    for (const request of [first, again, await requestOf('Anna')]) {
      const { status, headers, text } = await guard.call(request);
      assert.deepEqual([status, words.test(JSON.parse(text).error)], [429, true], text);
      assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
      assert.equal(headers['ratelimit-remaining'], '0');
    }
    assert.equal(upstream.requests.length, 2);
    // Others have theirs: another person, a program, and whoever has that name here.
    for (const request of [
      await requestOf('ben'),
      generate(`Bearer ${await provider.programToken()}`),
      generate(anna.bearer),
    ]) {
      assert.equal((await guard.call(request)).status, 200);
    }
    // Another role has other limits, of which it has none.
    provider.groups = ['admins'];
    assert.equal((await guard.call(await requestOf('anna'))).status, 200);
  });
}

test("a token's requests at once are those of its role, whichever token they come with", async (t) => {
  const { upstream, guard, requestOf } = await start(t, { concurrentRequests: 2 }, () => {});
  const clients = [];
  for (let number = 0; number < 2; number += 1) {
    const client = await RawClient.open(t, guard.port);
    client.send(await requestOf('anna'));
    await upstream.reply(number);
    clients.push(client);
  }
  const third = guard.call(await requestOf('anna'));
  const { status, text } = await Promise.race([third, upstream.reply(2).then(() => assert.fail('a third was sent'))]);
  assert.deepEqual([status, /under way/.test(JSON.parse(text).error)], [429, true], text);
  answer(await upstream.reply(0));
  assert.equal((await clients[0]?.response())?.status, 200);
  const next = await RawClient.open(t, guard.port);
  next.send(await requestOf('anna'));
  await upstream.reply(2);
});
