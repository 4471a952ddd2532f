/** An invite gives one key, once, to whoever has its code, and tells nobody else anything. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { type TestContext, test } from 'node:test';
import { formatEvent } from '../../src/cli/log.ts';
import { parseConfig } from '../../src/guard/config.ts';
import { GuardError } from '../../src/guard/errors.ts';
import { Guard } from '../../src/guard/guard.ts';
import { inviteLifetimeMs } from '../../src/guard/identity/invite.ts';
import { changeUser, findUser, removeUser } from '../../src/guard/identity/users.ts';
import { clients } from '../../src/guard/share/clients.ts';
import { createMemoryVault } from '../../src/guard/tls/vault.ts';
import type { GuardEvent } from '../../src/guard/usage/events.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { type Invited, invited, redeeming } from '../support/invites.ts';
import { team } from '../support/people.ts';
import { RawClient, type RawRequest, request } from '../support/rawClient.ts';

const path = '/_guard/join';
const day = 86_400_000;
const down = 'http://127.0.0.1:1';
const refusedWords = 'This invite was used already, has run out or is not valid. Ask for a new one.';
const wrongCode = (i = 0) => `oi_${'a'.repeat(10)}_${String(i).padStart(22, 'A')}`;
const { users, code } = invited(team.users, 'mia');

const redeem = (guard: TestGuard, what = code) => guard.call(redeeming(what));

/** What a request over TLS is answered, by a client that trusts this endpoint's authority alone. */
async function callTls(guard: TestGuard, { method, path: target, headers, body }: RawRequest) {
  const ca = guard.guard.tls?.anchor?.pem;
  const req = httpsRequest({ host: '127.0.0.1', port: guard.port, method, path: target, headers, ca, agent: false });
  req.end(body);
  const [res] = await once(req, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of res) chunks.push(chunk);
  return { status: res.statusCode as number, text: Buffer.concat(chunks).toString() };
}

test('a code is exchanged for a key that works, with what to do with it, and the owner sees it', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [{ name: 'qwen3:8b' }] }));
  const guard = await startGuard(t, upstream, { users });
  const { status, headers, text } = await redeem(guard);
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json; charset=utf-8');
  assert.equal(headers['cache-control'], 'no-store');
  const answer = JSON.parse(text);
  assert.deepEqual(Object.keys(answer), ['user', 'role', 'apiKey', 'shells', 'clients']);
  assert.deepEqual([answer.user, answer.role], ['mia', 'member']);
  assert.deepEqual(
    answer.clients.map(({ id }: { id: string }) => id),
    clients.map(({ id }) => id),
  );
  for (const { id, text: texts } of answer.clients) {
    const takesKey = clients.find((client) => client.id === id)?.keyLabel !== undefined;
    for (const snippet of Object.values<string>(texts)) {
      assert.ok(snippet.includes(`http://127.0.0.1:${guard.port}`), id);
      assert.equal(snippet.includes(answer.apiKey), takesKey, id);
    }
  }
  assert.ok(answer.clients[0].text.bash.includes('qwen3:8b'));
  assert.equal((await guard.call({ headers: { authorization: `Bearer ${answer.apiKey}` } })).status, 200);

  const event = await guard.event('invite-redeemed');
  assert.deepEqual(event, {
    type: 'invite-redeemed',
    user: 'mia',
    keyId: answer.apiKey.slice(3, 13),
    address: '127.0.0.1',
  });
  assert.match(formatEvent(event, 'pretty'), /invite of mia used from 127\.0\.0\.1: API key /);
  const logged = JSON.stringify(guard.events);
  assert.match(logged, /"method":"POST","path":"\/_guard\/join","status":200/);
  for (const secret of [code, code.slice(14), answer.apiKey, answer.apiKey.slice(14)])
    assert.ok(!logged.includes(secret));
});

test('with Ollama down the snippets name a model all the same', async (t) => {
  const guard = await startGuard(t, down, { users });
  assert.match((await redeem(guard)).text, /llama3\.2/);
});

test('the key lasts as long as the invite says, and its user', async (t) => {
  const short = invited(team.users, 'mia', { accessMs: 7 * day });
  const guard = await startGuard(t, down, { users: short.users });
  assert.equal(JSON.parse((await redeem(guard, short.code)).text).expiresAt, short.invite.keyExpiresAt);
  const expiresAt = new Date(Date.now() + day).toISOString();
  const other = await startGuard(t, down, { users: changeUser(short.users, 'mia', { expiresAt }) });
  assert.equal(JSON.parse((await redeem(other, short.code)).text).expiresAt, expiresAt);
});

test('replay: a code that was used is refused', async (t) => {
  const guard = await startGuard(t, down, { users });
  assert.equal((await redeem(guard)).status, 200);
  assert.deepEqual(
    [(await redeem(guard)).status, JSON.parse((await redeem(guard)).text)],
    [403, { error: refusedWords }],
  );
});

test('race: of twenty at once, all of them taken for right, one gets a key', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { users });
  const responses = Array.from({ length: 20 }, () => redeem(guard));
  const asked = await Promise.all(responses.map((_, i) => upstream.reply(i)));
  for (const reply of asked) reply.json({ models: [] });
  const answers = await Promise.all(responses);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(403)]);
  assert.equal(answers.filter(({ text }) => text.includes('og_')).length, 1);
  assert.equal((await guard.event('sign-in-failed')).reason, 'invite that was used meanwhile');
  await guard.guard.stop(0);
  assert.equal(guard.events.filter(({ type }) => type === 'invite-redeemed').length, 1);
});

test('SEC-48: whatever is wrong, the answer is the same, and the owner is told the difference', async (t) => {
  const old = invited(users, 'mia', { now: Date.now() - inviteLifetimeMs });
  const off = (change: Parameters<typeof changeUser>[2]) => changeUser(users, 'mia', change);
  const wrong: Readonly<Record<string, readonly [Pick<Invited, 'users' | 'code'>, reason: string]>> = {
    'no such invite': [{ users, code: wrongCode() }, 'unknown invite'],
    'another secret': [{ users, code: code.slice(0, 14) + 'A'.repeat(22) }, 'unknown invite'],
    'no code at all': [{ users, code: 'x' }, 'unknown invite'],
    'an empty one': [{ users, code: '' }, 'unknown invite'],
    'an API key': [{ users, code: team.mia.key }, 'unknown invite'],
    __proto__: [{ users, code: '__proto__' }, 'unknown invite'],
    'run out': [old, 'expired invite'],
    'removed user': [{ users: removeUser(users, 'mia'), code }, 'unknown invite'],
    'disabled user': [{ users: off({ disabled: true }), code }, 'invite of a user who is disabled'],
    'expired user': [
      { users: off({ expiresAt: '2020-01-01T00:00:00.000Z' }), code },
      'invite of a user who is expired',
    ],
  };
  const answers = new Set<string>();
  for (const [what, [given, reason]] of Object.entries(wrong)) {
    const guard = await startGuard(t, down, { users: given.users });
    const { statusLine, headers, text } = await redeem(guard, given.code);
    answers.add(JSON.stringify([statusLine, { ...headers, date: '' }, text]));
    assert.equal((await guard.event('sign-in-failed')).reason, reason, what);
  }
  assert.equal(answers.size, 1, [...answers].join('\n'));
  assert.match([...answers][0] ?? '', /403 Forbidden.*used already/);
});

test('a change of the users applies to the next code', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [] }));
  const guard = await startGuard(t, upstream, { users });
  guard.guard.setUsers(removeUser(users, 'mia'));
  assert.equal((await redeem(guard)).status, 403);
  assert.equal(upstream.connections, 0, 'nothing is done for it');
  guard.guard.setUsers(users);
  assert.equal((await redeem(guard)).status, 200);
});

test('guessing: after ten wrong codes an address has to wait, with the right one too; others have not', async (t) => {
  const guard = await startGuard(t, down, { users, config: { host: '::' } });
  const responses = await Promise.all(Array.from({ length: 30 }, (_, i) => redeem(guard, wrongCode(i))));
  assert.deepEqual(responses.map(({ status }) => status).sort(), [...Array(10).fill(403), ...Array(20).fill(429)]);
  const right = await redeem(guard);
  assert.equal(right.status, 429);
  assert.match(right.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  assert.match(right.text, /Too many wrong invites/);
  assert.equal(
    (await guard.call({ headers: { authorization: `Bearer ${team.mia.key}` } })).status,
    503,
    'sign-ins go on',
  );
  assert.equal((await request(t, guard.port, redeeming(code), { host: '::1' })).status, 200);
});

test('failed sign-ins do not keep an invite out', async (t) => {
  const guard = await startGuard(t, down, { users });
  const wrong = { headers: { authorization: `Bearer og_${'a'.repeat(10)}_${'A'.repeat(43)}` } };
  await Promise.all(Array.from({ length: 12 }, () => guard.call(wrong)));
  assert.equal((await guard.call(wrong)).status, 429);
  assert.equal((await redeem(guard)).status, 200);
});

test('who it is not shared with gets no key, and keeps the invite', async (t) => {
  const guard = await startGuard(t, down, { users });
  await guard.guard.share({ host: '127.0.0.2', users: [findUser(users, 'adam').id] });
  const refused = await request(t, guard.port, redeeming(code), { host: '127.0.0.2' });
  assert.deepEqual(
    [refused.status, refused.text],
    [403, '{"error":"This endpoint is not shared with you right now. Ask its owner."}'],
  );
  assert.equal(
    (await request(t, guard.port, redeeming(wrongCode()), { host: '127.0.0.2' })).text.includes('used'),
    true,
  );
  await guard.guard.share({ host: '127.0.0.2', users: [findUser(users, 'mia').id] });
  assert.equal((await request(t, guard.port, redeeming(code), { host: '127.0.0.2' })).status, 200);
});

/** A guard whose host cannot store a key until it is told so. */
async function startWithHost(t: TestContext, store: () => Promise<void>) {
  const events: GuardEvent[] = [];
  const guard = await Guard.start({
    config: parseConfig({ host: '127.0.0.1', port: 0, upstream: down }),
    users,
    comparePassword: async () => false,
    vault: createMemoryVault(),
    redeemInvite: store,
    onTls: () => {},
    onReport: (report) => events.push(...report.events),
  });
  t.after(() => guard.stop(0));
  return { port: Number(new URL(guard.url).port), events, guard };
}

test('a key that cannot be stored is not given out, and uses nothing up', async (t) => {
  for (const failure of [new GuardError('data-unavailable', 'The disk is full.'), new Error('broken')]) {
    let works = false;
    const { port, events, guard } = await startWithHost(t, async () => {
      if (!works) throw failure;
    });
    const refused = await request(t, port, redeeming(code));
    assert.equal(refused.status, 503);
    assert.match(refused.text, /^\{"error":"The invite could not be exchanged/);
    assert.ok(!refused.text.includes('og_'));
    works = true;
    assert.equal((await request(t, port, redeeming(code))).status, 200);
    await guard.stop(0);
    assert.equal(events.filter(({ type }) => type === 'invite-redeemed').length, 1);
    assert.equal(events.filter(({ type }) => type === 'error').length, 1);
  }
});

test('an invite is not used up for a client that left before its key was stored', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { users });
  const client = await RawClient.open(t, guard.port);
  client.send(redeeming(code));
  const asked = await upstream.reply(0);
  client.socket.destroy();
  // Answered behind its connection, so that the guard has seen it go.
  await guard.call({ path: '/_guard/health' });
  asked.json({ models: [] });
  await asked.closed();
  upstream.answer = (reply) => reply.json({ models: [] });
  assert.equal((await redeem(guard)).status, 200);
});

const badBodies: readonly (readonly [what: string, status: number, request: RawRequest])[] = [
  ['no type', 415, { body: JSON.stringify({ code }) }],
  ['text', 415, { headers: { 'content-type': 'text/plain' }, body: JSON.stringify({ code }) }],
  ['a form', 415, { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: `code=${code}` }],
  ['nearly JSON', 415, { headers: { 'content-type': 'application/jsonx' }, body: JSON.stringify({ code }) }],
  [
    'too long',
    413,
    { body: JSON.stringify({ code: 'x'.repeat(1_024) }), headers: { 'content-type': 'application/json' } },
  ],
  ['no body', 400, { headers: { 'content-type': 'application/json' } }],
  ['no JSON', 400, { headers: { 'content-type': 'application/json' }, body: code }],
  ['no object', 400, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(code) }],
  ['another field', 400, { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ code, x: 1 }) }],
  ['a list', 400, { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ code: [code] }) }],
  [
    'compressed',
    415,
    { headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' }, body: '\x1f\x8b' },
  ],
];
for (const [what, status, bad] of badBodies) {
  test(`body: ${what} is refused with ${status}, and uses nothing up`, async (t) => {
    const guard = await startGuard(t, down, { users });
    const response = await guard.call({ method: 'POST', path, ...bad });
    assert.equal(response.status, status);
    assert.equal(typeof JSON.parse(response.text).error, 'string');
    assert.ok(!response.text.includes(code));
    assert.equal((await redeem(guard)).status, 200);
  });
}

test('body: one without end is not read to its end', async (t) => {
  const guard = await startGuard(t, down, { users });
  const client = await RawClient.open(t, guard.port);
  client.send(
    `POST ${path} HTTP/1.1\r\nHost: ${client.host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  client.send(`400\r\n${' '.repeat(1_024)}\r\n`);
  client.send(`1\r\n \r\n`);
  assert.equal((await client.response()).status, 413);
});

test('body: one that does not come is not waited for', async (t) => {
  const guard = await startGuard(t, down, { users, config: { headersTimeoutMs: 200 } });
  const client = await RawClient.open(t, guard.port);
  client.send(
    `POST ${path} HTTP/1.1\r\nHost: ${client.host}\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{`,
  );
  const response = await client.response();
  assert.deepEqual([response.status, response.headers.connection], [408, 'close']);
  assert.equal((await redeem(guard)).status, 200);
});

test('body: whoever waits for 100 Continue is told to go on', async (t) => {
  const guard = await startGuard(t, down, { users });
  const client = await RawClient.open(t, guard.port);
  const body = JSON.stringify({ code });
  client.send(
    `POST ${path} HTTP/1.1\r\nHost: ${client.host}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  assert.equal((await client.response()).status, 100);
  client.send(body);
  assert.equal((await client.response()).status, 200);
});

test('CSRF: a page elsewhere cannot redeem, the page of this very endpoint can', async (t) => {
  const guard = await startGuard(t, down, { users, config: { allowedHosts: ['gpu.example.org'] } });
  const own = `127.0.0.1:${guard.port}`;
  const foreign: readonly Readonly<Record<string, string>>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: '' },
    { origin: `https://${own}` },
    { origin: `http://127.0.0.1:${guard.port + 1}` },
    { origin: 'http://127.0.0.1' },
    { origin: `http://localhost:${guard.port}` },
    { origin: `http://${own}/` },
    { origin: `HTTP://${own}` },
    { origin: `http://${own}`, host: `localhost:${guard.port}` },
    { origin: 'http://gpu.example.org' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  ];
  for (const headers of foreign) {
    const response = await guard.call(redeeming(code, headers));
    assert.equal(response.status, 403, JSON.stringify(headers));
    assert.match(response.text, /Web pages of this origin/, JSON.stringify(headers));
  }
  const ownPage = { origin: `http://${own}`, 'sec-fetch-site': 'same-origin' };
  assert.equal(
    (await guard.call({ headers: { ...ownPage, authorization: team.mia.bearer } })).status,
    403,
    'there alone',
  );
  const chat = { method: 'POST', path: '/api/chat', body: '{}' };
  const signedIn = { ...ownPage, authorization: team.mia.bearer };
  assert.match((await guard.call({ ...chat, headers: signedIn })).text, /Web pages of this origin/, 'there alone');
  assert.equal((await guard.call(redeeming(code, ownPage))).status, 200);
});

test('DNS rebinding: a foreign Host is refused before anything is read', async (t) => {
  const guard = await startGuard(t, down, { users });
  const headers = { host: 'evil.example', origin: 'http://evil.example' };
  assert.match((await guard.call(redeeming(code, headers))).text, /host name is not configured/);
  assert.equal((await redeem(guard)).status, 200);
});

test('behind a proxy that encrypts, snippets hold the address that its page has', async (t) => {
  const origin = 'https://gpu.example.org';
  const config = { allowedHosts: ['gpu.example.org'], allowedOrigins: [origin] };
  const guard = await startGuard(t, down, { users, config });
  const { text } = await guard.call(redeeming(code, { host: 'gpu.example.org', origin }));
  assert.ok(JSON.parse(text).clients[0].text.bash.includes(`${origin}/api/chat`));
});

test('path tricks lead to the same refusals as everywhere', async (t) => {
  const guard = await startGuard(t, down, { users });
  for (const target of ['//_guard/join', '/_guard/./join', '/x/../_guard/join', '/_guard%2fjoin', '/_guard/jo%69n']) {
    assert.equal((await guard.call({ ...redeeming(code), path: target })).status, 400, target);
  }
  for (const target of ['/_guard/join/', '/_Guard/join', '/_guard/join.ts', '/_guard/', '/_guard/join.html']) {
    assert.equal((await guard.call({ ...redeeming(code), path: target })).status, 401, target);
  }
  assert.equal((await guard.call({ ...redeeming(code), path: `${path}?code=${code}` })).status, 200);
  assert.ok(!JSON.stringify(guard.events).includes(code.slice(14)));
});

test('nothing of it is forwarded', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    await guard.call({ method, path, headers: { authorization: team.adam.bearer } });
  }
  await redeem(guard, wrongCode());
  assert.equal(upstream.connections, 0);
});

test('encrypted: plain HTTP is refused before the code is read, and uses nothing up', async (t) => {
  const guard = await startGuard(t, down, { users, config: { tls: { mode: 'auto' } } });
  const client = await RawClient.open(t, guard.port);
  client.send(
    `POST ${path} HTTP/1.1\r\nHost: ${client.host}\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n`,
  );
  const refused = await client.response();
  assert.equal(refused.status, 400);
  assert.match(refused.text, /https:\/\//);
  assert.equal((await guard.call(redeeming(code))).status, 400);
  assert.equal((await callTls(guard, redeeming(code))).status, 200);
});

test('encrypted: the answer is for https, and holds what its clients have to trust', async (t) => {
  const guard = await startGuard(t, down, { users, config: { tls: { mode: 'auto' } } });
  const origin = `https://127.0.0.1:${guard.port}`;
  assert.equal((await callTls(guard, redeeming(code, { origin: origin.replace('https', 'http') }))).status, 403);
  const { status, text } = await callTls(guard, redeeming(code, { origin }));
  assert.equal(status, 200);
  const curl = JSON.parse(text).clients[0].text.bash;
  assert.ok(curl.includes(`${origin}/api/chat`), curl);
  assert.ok(curl.includes(guard.guard.tls?.publicKeyPin ?? '?'), curl);
});

test('plain HTTP on this computer, where the owner allows it, gives snippets for plain HTTP', async (t) => {
  const config = { tls: { mode: 'auto' }, plainOnLoopback: true } as const;
  const guard = await startGuard(t, down, { users, config });
  const { clients: answered } = JSON.parse((await redeem(guard)).text);
  assert.ok(answered[0].text.bash.includes(`http://127.0.0.1:${guard.port}/api/chat`));
  assert.ok(!answered[0].text.bash.includes('pinnedpubkey'));
});

test('the invite of one user is not that of another', async (t) => {
  const both = invited(users, 'adam');
  const guard = await startGuard(t, down, { users: both.users });
  const crossed = code.slice(0, 14) + both.code.slice(14);
  assert.equal((await redeem(guard, crossed)).status, 403);
  assert.deepEqual(
    [JSON.parse((await redeem(guard)).text).user, JSON.parse((await redeem(guard, both.code)).text).user],
    ['mia', 'adam'],
  );
});
