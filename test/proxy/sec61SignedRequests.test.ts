// SEC-61: signed requests of the ollama command line, which do not cover the body and repeat within a second.
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';
import { removePublicKey } from '../../src/guard/identity/publicKey.ts';
import { changeUser, type User } from '../../src/guard/identity/users.ts';
import { createCertificates, loopbackNames } from '../support/certificates.ts';
import { without } from '../support/debian.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { createCliKey, ollamaAgent, seconds, signedRequest, withPublicKey } from '../support/ollamaCli.ts';
import { team } from '../support/people.ts';
import { RawClient, type RawRequest, request } from '../support/rawClient.ts';

const key = createCliKey();
const users = withPublicKey(team.users, 'mia', key);
const keyId = users.find(({ name }) => name === 'mia')?.publicKeys?.[0]?.id ?? '';
const tags = () => signedRequest(key, 'GET', '/api/tags');
const chat = (body: string) => signedRequest(key, 'POST', '/api/chat', { body });
const errorOf = ({ text }: { readonly text: string }): string => JSON.parse(text).error;

const [external] = Object.values(networkInterfaces())
  .flat()
  .filter((entry) => entry !== undefined && !entry.internal && entry.family === 'IPv4');
const noExternal = external === undefined && 'needs an address beside loopback';
const host = external?.address ?? '';

describe('SEC-61: a signed request', () => {
  it('gets in after the heartbeat that comes before it', async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { users });
    assert.equal((await guard.call(signedRequest(key, 'HEAD', '/'))).status, 200);
    assert.equal((await guard.call(tags())).status, 200);
    assert.equal((await guard.call(chat('{"model":"demo"}'))).status, 200);
    assert.equal((await guard.call(signedRequest(key, 'POST', '/api/pull', { body: '{"model":"x"}' }))).status, 403);
    assert.deepEqual(upstream.seen, ['GET /api/tags', 'POST /api/chat']);
    const events = guard.events.filter((event) => event.type === 'request');
    assert.ok(events.every(({ path }) => !path.includes('ts=')));
  });

  it('SEC-40: leaves its signature, its key and its time here', async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { users });
    const requests = [
      tags(),
      chat('{"model":"demo"}'),
      signedRequest(key, 'POST', '/v1/messages', { body: '{"model":"demo"}' }),
    ];
    for (const what of requests) {
      assert.equal((await guard.call(what)).status, 200);
      const { startLine, rawHeaders, text } = upstream.requests.at(-1) ?? assert.fail();
      const wire = `${startLine}\n${rawHeaders.flat().join('\n')}\n${text}`;
      const [blob = '', signature = ''] = what.headers?.authorization?.split(':') ?? [];
      for (const secret of [blob, signature, 'ts=', '?']) assert.ok(!wire.includes(secret), wire);
    }
  });

  it('may come twice in a second, and with another body: the signature covers neither', async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { users });
    const first = chat('{"model":"demo"}');
    const repeated: readonly RawRequest[] = [first, first, { ...first, body: '{"model":"other"}' }];
    for (const what of repeated) assert.equal((await guard.call(what)).status, 200);
    assert.deepEqual(
      upstream.requests.map(({ text }) => text),
      repeated.map(({ body }) => body),
    );
  });

  it('is of no use for another method or path, with another query, or a while later', async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { users });
    const { headers } = tags();
    const at = seconds();
    const others: Record<string, RawRequest> = {
      'another method': { ...tags(), method: 'HEAD' },
      'another path': { ...tags(), path: `/api/ps?ts=${at}` },
      'another time': { ...tags(), path: `/api/tags?ts=${at + 5}` },
      'no query': { ...tags(), path: '/api/tags' },
      'more of a query': { ...tags(), path: `/api/tags?ts=${at}&model=x` },
      'from another client': { path: '/api/ps?ts=1', headers: { authorization: headers?.authorization ?? '' } },
      'too old': signedRequest(key, 'GET', '/api/tags', { at: at - 120 }),
      'too new': signedRequest(key, 'GET', '/api/tags', { at: at + 120 }),
    };
    for (const [what, other] of Object.entries(others)) {
      const { status } = await guard.call(other);
      assert.equal(status, what === 'from another client' ? 401 : 403, what);
    }
    assert.equal(upstream.connections, 0);
  });

  it('from beyond this computer is refused in clear, whoever signed it', { skip: noExternal }, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { users, config: { host: '0.0.0.0' } });
    const call = (what: RawRequest) => request(t, guard.port, what, { host });
    const known = await call(tags());
    assert.equal(known.status, 403);
    assert.match(errorOf(known), /^Signed requests are taken over https alone/);
    const other = await call(signedRequest(createCliKey(), 'GET', '/api/tags'));
    const old = await call(signedRequest(key, 'GET', '/api/tags', { at: 1 }));
    assert.deepEqual([other.statusLine, other.text], [known.statusLine, known.text]);
    assert.deepEqual([old.statusLine, old.text], [known.statusLine, known.text]);
    // Nobody is locked out by it, and nothing else changes there.
    for (let i = 0; i < 20; i++) assert.equal((await call(tags())).status, 403);
    assert.equal((await call({ headers: { authorization: team.mia.bearer } })).status, 200);
    assert.equal((await guard.call(tags())).status, 200);
    assert.equal(upstream.requests.length, 2);
  });

  it('from beyond this computer gets in over TLS', { skip: noExternal || without('openssl') }, async (t) => {
    const upstream = await startFakeOllama(t);
    const certificates = createCertificates(t);
    const tls = { mode: 'files', ...certificates.sign(...loopbackNames, `IP:${host}`) } as const;
    const guard = await startGuard(t, upstream, { users, config: { host: '0.0.0.0', tls } });
    const call = (what: RawRequest) => request(t, guard.port, what, { host, ca: certificates.ca });
    assert.equal((await call(signedRequest(key, 'HEAD', '/'))).status, 200);
    assert.equal((await call(tags())).status, 200);
    assert.equal((await call(signedRequest(createCliKey(), 'GET', '/api/tags'))).status, 403);
    assert.equal(upstream.requests.length, 1);
  });

  it('SEC-48: is refused in the same words whatever is wrong with it, and the log tells the difference', async (t) => {
    const upstream = await startFakeOllama(t);
    const past = '2020-01-01T00:00:00.000Z';
    const forged = tags();
    const authorization = `${key.blob}:${'A'.repeat(86)}==`;
    const cases: readonly (readonly [reason: string, known: readonly User[], what: RawRequest])[] = [
      ['unknown public key', users, signedRequest(createCliKey(), 'GET', '/api/tags')],
      ['unknown public key', removePublicKey(users, keyId), tags()],
      ['wrong signature', users, { ...forged, headers: { ...forged.headers, authorization } }],
      ['signature of another time', users, signedRequest(key, 'GET', '/api/tags', { at: 1 })],
      ['expired public key', withPublicKey(team.users, 'mia', key, { expiresAt: past }), tags()],
      ['disabled user', changeUser(users, 'mia', { disabled: true }), tags()],
      ['expired user', changeUser(users, 'mia', { expiresAt: past }), tags()],
      ['not a credential of this guard', users, { ...tags(), path: '/api/tags' }],
    ];
    const answers = new Set<string>();
    for (const [reason, known, what] of cases) {
      // A guard of its own for each, so that the limiter has no say.
      const guard = await startGuard(t, upstream, { users: known });
      const { statusLine, headers, text } = await guard.call(what);
      answers.add(JSON.stringify([statusLine, { ...headers, date: '' }, text]));
      assert.equal((await guard.event('sign-in-failed')).reason, reason);
    }
    assert.equal(answers.size, 1);
    assert.match([...answers].join(), /403.*OLLAMA_AUTH=1.*~\/\.ollama\/id_ed25519\.pub/);
    assert.equal(upstream.connections, 0);
  });

  it('SEC-27: counts by its signature, and the User-Agent for the words alone', async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { users });
    const agent = (what: RawRequest, name: string): RawRequest => ({
      ...what,
      headers: { ...what.headers, 'user-agent': name },
    });
    const strange = signedRequest(createCliKey(), 'GET', '/api/tags');
    assert.equal((await guard.call(agent(tags(), 'curl/8.0'))).status, 200);
    const plain = await guard.call(agent(strange, 'curl/8.0'));
    assert.deepEqual([plain.status, plain.headers['www-authenticate'] === undefined], [401, false]);
    for (const what of [strange, { headers: { 'user-agent': ollamaAgent } }]) {
      const shown = await guard.call(what);
      assert.deepEqual([shown.status, shown.headers['www-authenticate']], [403, undefined]);
      assert.match(errorOf(shown), /OLLAMA_AUTH=1/);
    }
    assert.equal(upstream.requests.length, 1);
  });
});

describe('a stream that a signature began', () => {
  const ways: Record<string, readonly User[]> = {
    'its key is removed': removePublicKey(users, keyId),
    'its user is switched off': changeUser(users, 'mia', { disabled: true }),
    'its user is removed': users.filter(({ name }) => name !== 'mia'),
  };
  for (const [when, after] of Object.entries(ways)) {
    it(`ends when ${when}`, async (t) => {
      const upstream = await startFakeOllama(t, (reply) => {
        reply.stream();
        reply.chunk('{"response":"x"}\n');
      });
      const { guard, port } = await startGuard(t, upstream, { users });
      const client = await RawClient.open(t, port);
      client.send(signedRequest(key, 'POST', '/api/generate', { body: '{"model":"demo"}' }));
      await client.has('"x"');
      guard.setUsers(after);
      await client.closed();
      await (await upstream.reply(0)).closed();
    });
  }

  it('ends when its key runs out', async (t) => {
    const upstream = await startFakeOllama(t, (reply) => {
      reply.stream();
      reply.chunk('{"response":"x"}\n');
    });
    const expiresAt = new Date(Date.now() + 1_500).toISOString();
    const { port } = await startGuard(t, upstream, { users: withPublicKey(team.users, 'mia', key, { expiresAt }) });
    const client = await RawClient.open(t, port);
    client.send(signedRequest(key, 'POST', '/api/generate', { body: '{"model":"demo"}' }));
    await client.has('"x"');
    await client.closed();
  });
});
