/** A man in the middle with another certificate gets no credential and no prompt from a connector. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Joined } from '../../src/connector/joined.ts';
import { createCertificates, loopbackNames } from '../support/certificates.ts';
import { without } from '../support/debian.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { type Impostor, startImpostor } from '../support/impostor.ts';
import { joinedTo, openConnector } from '../support/joined.ts';
import { team } from '../support/people.ts';

const skip = without('openssl');
const words = /is not the endpoint you joined/;
const prompt = { method: 'POST', path: '/api/generate', body: '{"prompt":"a secret of mine"}' };

function hears(impostor: Impostor): void {
  assert.ok(impostor.connections() > 0);
  assert.doesNotMatch(impostor.heard(), /authorization|og_|secret of mine/i);
}

async function refuses(t: TestContext, joined: Joined, impostor: Impostor): Promise<void> {
  const connector = await openConnector(t, joined);
  for (const what of [{}, prompt, { ...prompt, path: '/v1/chat/completions' }, { ...prompt, path: '/v1/messages' }]) {
    const { status, text } = await connector.call(what);
    assert.equal(status, 403);
    assert.match(text, words);
  }
  hears(impostor);
  await connector.told(1);
  assert.equal(connector.links[0]?.status, 'broken');
  assert.equal(connector.links.length, 1);
}

test('from the beginning', { skip }, async (t) => {
  const own = createCertificates(t);
  const endpoint = createCertificates(t);
  const servers = {
    'another authority with the same names': own.sign(...loopbackNames),
    'the right authority for another host': endpoint.sign('IP:192.0.2.7', 'DNS:elsewhere.example'),
  };
  for (const tls of Object.values(servers)) {
    const impostor = await startImpostor(t, { tls });
    const joined: Joined = {
      id: 'joined2222',
      user: 'mia',
      addresses: [`https://127.0.0.1:${impostor.port}`],
      ca: endpoint.ca,
      apiKey: team.mia.key,
      port: 0,
    };
    await refuses(t, joined, impostor);
    // Who is trusted does get them, so that the above can fail.
    const trusted = await openConnector(t, { ...joined, ca: own.ca });
    const { status } = await trusted.call(prompt);
    if (tls === servers['another authority with the same names']) {
      assert.equal(status, 200);
      assert.ok(impostor.heard().includes(team.mia.key) && impostor.heard().includes('secret of mine'));
    } else assert.equal(status, 403);
  }
});

test('in place of an endpoint that was good a moment ago, on connections that were left open or not', {
  skip,
}, async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { tls: { mode: 'auto' } } });
  const { port } = guard;
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  assert.equal((await connector.call({})).status, 200);
  await guard.guard.stop(0);
  const impostor = await startImpostor(t, { tls: createCertificates(t).sign(...loopbackNames), port });
  // The endpoint counts as there for a while: the request goes out without a question before it.
  const { status, text } = await connector.call(prompt);
  assert.equal(status, 403);
  assert.match(text, words);
  assert.match((await connector.call({})).text, words);
  hears(impostor);
  await connector.told(1);
});

test('without encryption, where the endpoint encrypted', { skip }, async (t) => {
  const guard = await startGuard(t, await startFakeOllama(t), { config: { tls: { mode: 'auto' } } });
  const { port } = guard;
  const joined = joinedTo(guard.guard, team.mia);
  await guard.guard.stop(0);
  const impostor = await startImpostor(t, { port });
  await refuses(t, joined, impostor);
});

test('with verification switched off by the environment', { skip }, async (t) => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.after(() => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  });
  const guard = await startGuard(t, await startFakeOllama(t), { config: { tls: { mode: 'auto' } } });
  const { port } = guard;
  const joined = joinedTo(guard.guard, team.mia);
  await guard.guard.stop(0);
  await refuses(t, joined, await startImpostor(t, { tls: createCertificates(t).sign(...loopbackNames), port }));
});
