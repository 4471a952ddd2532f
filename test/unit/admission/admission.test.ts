import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Admission, type Permit } from '../../../src/guard/admission/admission.ts';
import type { Caller } from '../../../src/guard/admission/types.ts';
import type { QueuePolicy } from '../../../src/guard/policy/policy.ts';

const policy: QueuePolicy = { concurrency: 1, length: 10, maxWaitMs: 60_000 };
const estimate = { prompt: 10, output: 20, most: 30 };
const unexpected = () => assert.fail('it had to wait');

function caller(id: string, more: Partial<Caller> = {}): Caller {
  return { id, name: `${id}'s name`, limits: {}, limitsPerKey: {}, priority: 0, weight: 1, ...more };
}

async function permitOf(admission: Admission, who: Caller): Promise<Permit> {
  const permit = await admission.begin(who);
  assert.ok('turn' in permit, 'not admitted');
  return permit;
}

/** A request that has had its turn. */
async function runs(admission: Admission, who: Caller, tokens = estimate): Promise<Permit> {
  const permit = await permitOf(admission, who);
  assert.equal(await permit.turn(tokens, unexpected), undefined);
  permit.charge.sent(tokens);
  return permit;
}

/** A request that waits, and what becomes of it. */
async function waits(admission: Admission, who: Caller, tokens = estimate) {
  const permit = await permitOf(admission, who);
  const waiting = Promise.withResolvers<void>();
  const turn = permit.turn(tokens, waiting.resolve);
  await waiting.promise;
  return { permit, turn };
}

/** The request is over, and Ollama has counted its tokens. */
function ends({ charge }: Permit, output = 0): void {
  charge.answering()({ prompt: 0, output });
  charge.closed(true);
}

const order = (admission: Admission) => admission.queue().waiting.map(({ userId }) => userId);

function stopTime(t: TestContext): void {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.parse('2026-01-01T00:00:00Z') });
  t.mock.method(performance, 'now', () => Date.now());
}

test('a caller without limits is let in at once, and runs at once while there is room', async () => {
  const admission = new Admission(policy);
  const permit = admission.begin(caller('mia'));
  assert.ok('turn' in permit, 'not at once');
  assert.deepEqual([permit.headers, permit.limitsTokens, permit.position], [{}, false, 0]);
  assert.equal(admission.queue().running, 0, 'a request whose body is still to come takes no turn');
  assert.equal(await permit.turn(estimate, unexpected), undefined);
  assert.equal(admission.queue().running, 1);
});

test('one waits its turn, knows its place, and runs when another is over', async () => {
  const admission = new Admission(policy);
  const first = await runs(admission, caller('mia'));
  const { permit, turn } = await waits(admission, caller('noa'));
  const { permit: last } = await waits(admission, caller('ole'));
  assert.deepEqual([permit.position, last.position, order(admission)], [1, 2, ['noa', 'ole']]);
  assert.deepEqual(
    admission.queue().waiting.map(({ name }) => name),
    ["noa's name", "ole's name"],
  );
  ends(first);
  assert.equal(await turn, undefined);
  assert.deepEqual([permit.position, last.position, admission.queue().running], [0, 1, 1]);
});

test('one whose client leaves while it waits leaves the queue, and is told nothing', async () => {
  const admission = new Admission(policy);
  const first = await runs(admission, caller('mia'));
  const { permit, turn } = await waits(admission, caller('noa'));
  let isTold = false;
  void turn.then(() => {
    isTold = true;
  });
  permit.charge.closed(false);
  assert.deepEqual([admission.queue().length, permit.position], [0, 0]);
  ends(first);
  await runs(admission, caller('ole'));
  assert.deepEqual([isTold, admission.queue().running], [false, 1]);
});

test('one whose client left while its tokens were set aside takes no place, which nobody would give back', async (t) => {
  stopTime(t);
  const admission = new Admission(policy);
  const permit = await permitOf(admission, caller('mia', { limits: { tokensPerDay: 1_000 } }));
  const turn = permit.turn(estimate, unexpected);
  permit.charge.closed(false);
  assert.equal(await turn, undefined);
  assert.deepEqual([admission.queue().running, admission.queue().length], [0, 0]);
  await runs(admission, caller('noa'));
});

test('a request that is over frees its turn once', async () => {
  const admission = new Admission(policy);
  const first = await runs(admission, caller('mia'));
  const { permit: second } = await waits(admission, caller('noa'));
  await waits(admission, caller('ole'));
  ends(first);
  first.charge.closed(true);
  assert.deepEqual([admission.queue().running, order(admission)], [1, ['ole']]);
  assert.equal(second.position, 0);
});

test('the turn is kept until Ollama is done with it, also when the client is', async () => {
  const admission = new Admission(policy);
  const first = await runs(admission, caller('mia'));
  const { turn } = await waits(admission, caller('noa'));
  const end = first.charge.answering();
  first.charge.closed(false);
  assert.equal(admission.queue().length, 1);
  end({});
  assert.equal(await turn, undefined);
});

test('a queue without a place refuses, with when to come again and what is left of limits', async (t) => {
  stopTime(t);
  const admission = new Admission({ ...policy, length: 0 });
  await runs(admission, caller('mia'));
  const noa = caller('noa', { limits: { requestsPerMinute: 5 } });
  const permit = await permitOf(admission, noa);
  const refused = await permit.turn(estimate, unexpected);
  assert.equal(refused?.refusal, 'queue-full');
  assert.ok((refused?.details.retryAfter ?? 0) > 0);
  assert.equal(refused?.details.headers?.['RateLimit-Remaining'], '4');
  assert.deepEqual([permit.position, admission.queue().running], [0, 1]);
  permit.charge.closed(true);
  assert.equal(admission.queue().running, 1, 'it had no turn to give back');
  assert.equal((await permitOf(admission, noa)).headers['RateLimit-Remaining'], '4', 'it did not count');
});

test('a turn is over, and paid, when Ollama has answered, and everything else when the client has it', async (t) => {
  stopTime(t);
  const admission = new Admission(policy);
  const mia = caller('mia', { limits: { concurrentRequests: 1, tokensPerDay: 1_000 } });
  const first = await runs(admission, mia);
  const { permit: second } = await waits(admission, caller('noa'));
  first.charge.answering()({ prompt: 0, output: 0 });
  first.answered();
  assert.equal(second.position, 0, 'it has the turn');
  // She has paid for what Ollama counted, which is nothing, and not for what was thought.
  await waits(admission, caller('mia'));
  await waits(admission, caller('pia'));
  assert.deepEqual(order(admission), ['mia', 'pia']);

  const held = await admission.begin(mia);
  assert.ok('refusal' in held && held.refusal === 'too-many-at-once');
  first.charge.closed(true);
  const last = await admission.begin({ ...mia, limits: { tokensPerDay: 1_000 } });
  assert.ok('turn' in last);
  assert.equal(last.headers['RateLimit-Remaining'], '1000');
});

test('a request counts from its turn on, whether it had to wait or not', async (t) => {
  stopTime(t);
  const admission = new Admission(policy);
  const mia = caller('mia', { limits: { requestsPerMinute: 5 } });
  const left = async () => {
    const permit = await permitOf(admission, mia);
    permit.forgive();
    permit.charge.closed(true);
    return permit.headers['RateLimit-Remaining'];
  };
  assert.equal(await left(), '4');
  const first = await runs(admission, mia);
  assert.equal(await left(), '3');
  t.mock.timers.tick(60_000);
  assert.equal(await left(), '4', 'it was of the minute before');
  const { permit, turn } = await waits(admission, mia);
  assert.equal(await left(), '3');
  ends(first);
  await turn;
  t.mock.timers.tick(60_000);
  assert.equal(await left(), '4', 'so was this one');
  ends(permit);
  assert.equal(await left(), '4');
});

test('one that waits for too long is refused, and is out of the queue', async (t) => {
  stopTime(t);
  const admission = new Admission(policy);
  await runs(admission, caller('mia'));
  const { permit, turn } = await waits(admission, caller('noa', { limits: { requestsPerMinute: 5 } }));
  t.mock.timers.tick(policy.maxWaitMs);
  const refused = await turn;
  assert.equal(refused?.refusal, 'queue-timeout');
  assert.equal(refused?.details.headers?.['RateLimit-Limit'], '5');
  assert.deepEqual([permit.position, admission.queue().length], [0, 0]);
});

test("over a limit no permit is given, and the refusal has the limiter's headers", async (t) => {
  stopTime(t);
  const admission = new Admission(policy);
  const mia = caller('mia', { limits: { requestsPerMinute: 1 } });
  const permit = await permitOf(admission, mia);
  assert.equal(permit.headers['RateLimit-Remaining'], '0');
  const refused = await admission.begin(mia);
  assert.ok('refusal' in refused);
  assert.equal(refused.refusal, 'too-many-requests');
  assert.equal(refused.details.retryAfter, 60);
  assert.equal(refused.details.headers?.['RateLimit-Limit'], '1');

  const one = caller('noa', { limits: { concurrentRequests: 1 } });
  const first = await permitOf(admission, one);
  const second = await admission.begin(one);
  assert.ok('refusal' in second);
  assert.equal(second.refusal, 'too-many-at-once');
  first.charge.closed(false);
  await permitOf(admission, one);
});

test('tokens that were used count against the next turn, and what was not used does not', async (t) => {
  stopTime(t);
  const admission = new Admission({ ...policy, concurrency: 10 });
  const mia = caller('mia', { limits: { tokensPerMinute: 100 } });
  ends(await runs(admission, mia, { prompt: 10, output: 1_000, most: 1_010 }), 60);
  ends(await runs(admission, mia, { prompt: 10, output: 20, most: 30 }), 60);
  const refused = await admission.begin(mia);
  assert.ok('refusal' in refused);
  assert.equal(refused.refusal, 'too-many-tokens');
  assert.equal(refused.details.retryAfter, 60);
  assert.equal(refused.details.headers?.['RateLimit-Remaining'], '0');
});

test('tokens that others of the caller may come to use are not there to be used, and it takes no turn', async (t) => {
  stopTime(t);
  const admission = new Admission({ ...policy, concurrency: 10 });
  const mia = caller('mia', { limits: { tokensPerMinute: 100 } });
  const first = await runs(admission, mia, { prompt: 10, output: 80, most: 90 });
  const permit = await permitOf(admission, mia);
  const refused = await permit.turn(estimate, unexpected);
  assert.equal(refused?.refusal, 'tokens-held');
  assert.equal(refused?.details.headers?.['RateLimit-Limit'], '100');
  assert.ok((refused?.details.retryAfter ?? 0) > 0);
  assert.equal(admission.queue().running, 1);
  permit.charge.closed(true);
  ends(first, 20);
  await runs(admission, mia);
});

test('a request that is thought to answer at length pays for a usual answer until it is over', async () => {
  const admission = new Admission({ ...policy, concurrency: 3 });
  await runs(admission, caller('wordy'), { prompt: 0, output: 1_000_000, most: 1_000_000 });
  await runs(admission, caller('other'), { prompt: 1_025, output: 0, most: 1_025 });
  const running = await runs(admission, caller('third'));
  await waits(admission, caller('other'));
  await waits(admission, caller('wordy'));
  assert.deepEqual(order(admission), ['wordy', 'other']);
  ends(running);
  assert.deepEqual(order(admission), ['other']);
});

test('priority and weight are those of the caller', async () => {
  const admission = new Admission({ ...policy, concurrency: 4 });
  // Whom nobody owes a turn.
  await runs(admission, caller('first', { priority: 1 }), { prompt: 1_000, output: 0, most: 1_000 });
  await runs(admission, caller('light'));
  await runs(admission, caller('heavy', { weight: 10 }));
  await runs(admission, caller('third'));
  await waits(admission, caller('light'));
  await waits(admission, caller('heavy', { weight: 10 }));
  await waits(admission, caller('first', { priority: 1 }));
  assert.deepEqual(order(admission), ['first', 'heavy', 'light']);
});

test('a new policy holds for those that wait', async () => {
  const admission = new Admission(policy);
  await runs(admission, caller('mia'));
  const { turn } = await waits(admission, caller('noa'));
  await waits(admission, caller('ole'));
  admission.setPolicy({ ...policy, concurrency: 2 });
  assert.equal(await turn, undefined);
  const { concurrency, running, length } = admission.queue();
  assert.deepEqual([concurrency, running, length], [2, 2, 1]);
});

test('a caller whose tokens are limited, by the minute or day, of its own or of its key, is known as one', async () => {
  const admission = new Admission(policy);
  const cases: readonly (readonly [Partial<Caller>, boolean])[] = [
    [{}, false],
    [{ limits: { requestsPerMinute: 1, concurrentRequests: 1 } }, false],
    [{ limits: { tokensPerMinute: 5 } }, true],
    [{ limits: { tokensPerDay: 5 } }, true],
    [{ limitsPerKey: { tokensPerMinute: 5 } }, false],
    [{ keyId: 'k1', limitsPerKey: { tokensPerMinute: 5 } }, true],
    [{ keyId: 'k2', limitsPerKey: { tokensPerDay: 5 } }, true],
  ];
  for (const [index, [more, isLimited]] of cases.entries()) {
    const { limitsTokens } = await permitOf(admission, caller(`user${index}`, more));
    assert.equal(limitsTokens, isLimited, JSON.stringify(more));
  }
});
