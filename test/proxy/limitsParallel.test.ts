/** Two hundred clients at the same moment get no more than one after the other would. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type DemoOptions, startDemoOllama } from '../../src/demo/demoOllama.ts';
import type { User } from '../../src/guard/identity/users.ts';
import type { Limits, PolicyDocument } from '../../src/guard/policy/policyDocument.ts';
import { ask } from '../support/asks.ts';
import { type FakeOllama, type Reply, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { type Person, team, withPerson } from '../support/people.ts';
import { RawClient, type RawRequest, type RawResponse, requestBytes } from '../support/rawClient.ts';
import { type Relay, startRelay } from '../support/relay.ts';

const clients = 200;
const messages = [{ role: 'user', content: 'How are you?' }];

/** Every dialect, each with the tokens that its answer says it took; streamed and whole. */
const kinds: readonly (readonly [path: string, body: object, used: (text: string) => number])[] = [
  ['/api/chat', { model: 'demo', messages, stream: false }, nativeTokens],
  ['/api/generate', { model: 'demo', prompt: 'Hello there', options: { num_predict: 9 } }, nativeTokens],
  ['/v1/chat/completions', { model: 'demo', messages, max_tokens: 7 }, openAiTokens],
  ['/v1/messages', { model: 'demo', messages, max_tokens: 12 }, anthropicTokens],
];

function nativeTokens(text: string): number {
  const { prompt_eval_count: prompt, eval_count: output } = JSON.parse(text.trim().split('\n').at(-1) ?? '');
  return prompt + output;
}

function openAiTokens(text: string): number {
  return JSON.parse(text).usage.total_tokens;
}

function anthropicTokens(text: string): number {
  const { input_tokens: prompt, output_tokens: output } = JSON.parse(text).usage;
  return prompt + output;
}

const kindOf = (number: number) => kinds[number % kinds.length] ?? assert.fail();

const requestOf = (person: Person, number: number): RawRequest => {
  const [path, body] = kindOf(number);
  return ask(person, path, body);
};

interface Scene {
  readonly relay: Relay;
  readonly guard: TestGuard;
}

async function scene(
  t: TestContext,
  policy: PolicyDocument,
  options: DemoOptions = {},
  users: readonly User[] = team.users,
): Promise<Scene> {
  const demo = await startDemoOllama(options);
  t.after(() => demo.stop());
  const relay = await startRelay(t, demo.url);
  return { relay, guard: await startGuard(t, relay.url, { users, config: { policy } }) };
}

/** So many requests at the same moment, each on a connection of its own. */
const atOnce = (guard: TestGuard, requestAt: (number: number) => RawRequest): Promise<readonly RawResponse[]> =>
  Promise.all(Array.from({ length: clients }, (_, number) => guard.call(requestAt(number))));

/** A refusal is in the words of its dialect, and says when to come again. */
function isRefusal({ status, headers, text }: RawResponse, number: number, words: RegExp): void {
  const [path] = kindOf(number);
  assert.equal(status, 429, text);
  const { error, type } = JSON.parse(text);
  assert.match(error.message ?? error, words);
  if (path === '/v1/messages') assert.deepEqual([type, error.type], ['error', 'rate_limit_error']);
  else if (path.startsWith('/v1/'))
    assert.match(`${error.type} ${error.code}`, /^rate_limit_error (too-many-|tokens-held$)/);
  else assert.equal(typeof error, 'string');
  assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
}

const inWindow = { 'ratelimit-limit': /^\d+$/, 'ratelimit-remaining': /^\d+$/, 'ratelimit-reset': /^\d+$/ };

function hasRateHeaders({ headers }: RawResponse, policy: string): void {
  for (const [name, pattern] of Object.entries(inWindow)) assert.match(headers[name] ?? '', pattern, name);
  assert.equal(headers['ratelimit-policy'], policy);
}

test('never more requests of one user at once than its role permits', async (t) => {
  const policy = { queue: { concurrency: 1_024 }, roles: { member: { limits: { concurrentRequests: 3 } } } };
  const { relay, guard } = await scene(t, policy, { tokensPerSecond: 500, tokens: 20 });
  let served = 0;
  for (let round = 0; round < 3; round += 1) {
    const answers = await atOnce(guard, (number) => requestOf(team.mia, number));
    answers.forEach((answer, number) => {
      if (answer.status === 200) served += 1;
      else isRefusal(answer, number, /under way/);
    });
  }
  assert.equal(relay.mostAtOnce, 3);
  assert.equal(relay.requests, served);
});

test('never more at Ollama at once than it is given, of however many users, and everybody is served', async (t) => {
  let users: readonly User[] = [];
  const people = Array.from({ length: 10 }, (_, number) => {
    const added = withPerson(users, `user${number}`, 'member');
    users = added.users;
    return added.person;
  });
  const { relay, guard } = await scene(t, { queue: { concurrency: 4 } }, { tokensPerSecond: 2_000 }, users);
  const answers = await atOnce(guard, (number) => requestOf(people[number % people.length] ?? team.mia, number >> 4));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  assert.equal(relay.mostAtOnce, 4);
  assert.equal(relay.requests, clients);
});

for (const per of ['limits', 'limitsPerKey'] as const) {
  test(`requests per minute are exact (${per})`, async (t) => {
    const policy = { roles: { member: { [per]: { requestsPerMinute: 50 } } } };
    const { relay, guard } = await scene(t, policy);
    const answers = await atOnce(guard, (number) => requestOf(team.mia, number));
    assert.equal(answers.filter(({ status }) => status === 200).length, 50);
    assert.equal(relay.requests, 50);
    answers.forEach((answer, number) => {
      hasRateHeaders(answer, '50;w=60');
      if (answer.status !== 200) {
        isRefusal(answer, number, /as many requests as you may/);
        assert.equal(answer.headers['ratelimit-remaining'], '0');
      }
    });
  });

  test(`no more tokens are made than the allowance and one request (${per})`, async (t) => {
    const allowance = 700;
    const policy = { roles: { member: { [per]: { tokensPerMinute: allowance } } } };
    const { guard } = await scene(t, policy, { tokensPerSecond: 5_000 });
    let used = 0;
    let largest = 0;
    let refused = 0;
    for (let answers: readonly RawResponse[] = [], round = 0; round === 0 || used < allowance; round += 1) {
      const before = used;
      answers = await atOnce(guard, (number) => requestOf(team.mia, number));
      answers.forEach((answer, number) => {
        hasRateHeaders(answer, `${allowance};w=60`);
        if (answer.status !== 200) {
          isRefusal(answer, number, /tokens/);
          refused += 1;
          return;
        }
        const tokens = kindOf(number)[2](answer.text);
        used += tokens;
        largest = Math.max(largest, tokens);
      });
      assert.ok(used > before, 'what is left of an allowance can be used');
    }
    assert.ok(used <= allowance + largest, `${used} of ${allowance}`);
    assert.ok(refused > 0);
    // Nothing is left, whoever asks for however little.
    const answers = await atOnce(guard, (number) => requestOf(team.mia, number));
    for (const [number, answer] of answers.entries()) isRefusal(answer, number, /tokens/);
  });
}

/** Digits, of which each is a token to some models: the most tokens that a prompt of its length can have. */
const digits = '7'.repeat(300);
const digitMessages = [{ role: 'user', content: digits }];

/** Every dialect with such a prompt, and what Ollama answers: as many tokens as there are bytes, and one. */
const dense: readonly (readonly [path: string, body: object, answer: object])[] = [
  [
    '/api/generate',
    { model: 'x', prompt: digits, stream: false, options: { num_predict: 1 } },
    { response: '7', done: true, prompt_eval_count: 300, eval_count: 1 },
  ],
  [
    '/api/chat',
    { model: 'x', messages: digitMessages, stream: false, options: { num_predict: 1 } },
    { message: {}, done: true, prompt_eval_count: 300, eval_count: 1 },
  ],
  [
    '/v1/chat/completions',
    { model: 'x', messages: digitMessages, max_tokens: 1 },
    { choices: [], usage: { prompt_tokens: 300, completion_tokens: 1, total_tokens: 301 } },
  ],
  [
    '/v1/messages',
    { model: 'x', messages: digitMessages, max_tokens: 1 },
    { content: [], usage: { input_tokens: 300, output_tokens: 1 } },
  ],
  ['/api/embed', { model: 'x', input: digits }, { embeddings: [], prompt_eval_count: 301 }],
];

/** Sends so many requests at the same moment, and has none answered before all of them were sent on or refused. */
async function allUnderWay(
  upstream: FakeOllama,
  guard: TestGuard,
  requestAt: (number: number) => RawRequest,
  answer: (reply: Reply) => void,
): Promise<readonly RawResponse[]> {
  const replies: Reply[] = [];
  let refused = 0;
  const decided = () => {
    if (replies.length + refused === clients) for (const reply of replies) answer(reply);
  };
  upstream.answer = (reply) => {
    replies.push(reply);
    decided();
  };
  const call = async (number: number) => {
    const response = await guard.call(requestAt(number));
    if (response.status === 200) return response;
    refused += 1;
    decided();
    return response;
  };
  return Promise.all(Array.from({ length: clients }, (_, number) => call(number)));
}

for (const [path, body, answer] of dense) {
  for (const per of ['limits', 'limitsPerKey'] as const) {
    test(`no more tokens than the allowance and one request when each byte is one, at ${path} (${per})`, async (t) => {
      const allowance = 3_000;
      const each = 301;
      const upstream = await startFakeOllama(t);
      const policy = { queue: { concurrency: 1_024 }, roles: { member: { [per]: { tokensPerMinute: allowance } } } };
      const guard = await startGuard(t, upstream, { config: { policy } });
      let used = 0;
      for (let served = 1; served > 0; ) {
        const answers = await allUnderWay(
          upstream,
          guard,
          () => ask(team.mia, path, body),
          (reply) => reply.json(answer),
        );
        served = answers.filter(({ status }) => status === 200).length;
        used += served * each;
        assert.ok(used <= allowance + each, `${used} of ${allowance}`);
        assert.ok(answers.every(({ status }) => status === 200 || status === 429));
      }
      assert.ok(used >= allowance, 'what is left of an allowance can be used');
    });
  }
}

/** The guard reads all of them in one go, before it has counted any. */
test('requests that come in one packet see one another', async (t) => {
  const inOnePacket = async (limits: Limits): Promise<readonly number[]> => {
    const { guard } = await scene(t, { roles: { member: { limits } } });
    const client = await RawClient.open(t, guard.port);
    const requests = Array.from({ length: 8 }, (_, number) => requestBytes(client.host, requestOf(team.mia, number)));
    client.send(Buffer.concat(requests));
    const statuses = [];
    for (const _ of requests) statuses.push((await client.response()).status);
    return statuses;
  };
  const served = async (limits: Limits) => (await inOnePacket(limits)).filter((status) => status === 200).length;
  assert.equal(await served({ requestsPerMinute: 5 }), 5);
  assert.equal(await served({ concurrentRequests: 3 }), 3);
  // The first one alone may come to all of them.
  assert.equal(await served({ tokensPerMinute: 20 }), 1);
});
