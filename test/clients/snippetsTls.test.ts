/**
 * "Copy for client…" for an endpoint whose certificate is from an authority of its own: every snippet knows the
 * endpoint, with nothing to do by hand, and none tells a credential to anybody else.
 */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';
import { without } from '../support/debian.ts';
import { team } from '../support/people.ts';
import { startEndpoint } from './endpoint.ts';
import { startImpostor } from './impostor.ts';
import { runners, tlsRunners } from './runners.ts';

const own = Object.values(networkInterfaces()).flatMap((entries = []) => entries.map(({ address }) => address));
const noIpv6 = !own.includes('::1') && 'needs IPv6 on loopback';

for (const [host, noHost] of [
  ['127.0.0.1', false],
  ['::1', noIpv6],
] as const) {
  describe(`a snippet over TLS at ${host}`, { skip: noHost }, () => {
    for (const { name, id, skip, seen, run } of [...runners, ...tlsRunners]) {
      it(`works: ${name}`, { skip: skip || without('curl') }, async (t) => {
        const endpoint = await startEndpoint(t, { host, tls: 'auto' });
        assert.match(endpoint.url, /^https:/);
        assert.match(await run(t, endpoint.snippet(id)), /\[demo\]|"models"/);
        assert.deepEqual(endpoint.seen, seen);
      });
    }
  });

  describe(`a man in the middle at ${host}`, { skip: noHost }, () => {
    for (const { name, id, skip, run } of [...runners, ...tlsRunners]) {
      it(`gets nothing from ${name}`, { skip: skip || without('curl', 'openssl') }, async (t) => {
        const { snippet, trust } = await startEndpoint(t, { host, tls: 'auto' });
        assert.ok(trust);
        const impostor = await startImpostor(t, trust, host);
        await assert.rejects(run(t, snippet(id, impostor.url)));
        assert.ok(impostor.connections > 0, 'it was not asked at all');
        assert.equal(impostor.received, '');
      });
    }
  });
}

// What runs at 127.0.0.1 without TLS is in snippets.test.ts and python.test.ts.
describe('a snippet without TLS at ::1', { skip: noIpv6 }, () => {
  for (const { name, id, skip, seen, run } of runners) {
    it(`works: ${name}`, { skip: skip || without('curl') }, async (t) => {
      const endpoint = await startEndpoint(t, { host: '::1' });
      assert.match(endpoint.url, /^http:\/\/\[::1\]:/);
      assert.match(await run(t, endpoint.snippet(id)), /\[demo\]|"models"/);
      assert.deepEqual(endpoint.seen, seen);
    });
  }
});

describe('what a snippet hands over', () => {
  it('is received by who has no trust to earn, so that silence means something', async (t) => {
    const { snippet, trust } = await startEndpoint(t, { tls: 'auto' });
    assert.ok(trust);
    const impostor = await startImpostor(t, trust, '127.0.0.1');
    const curl = runners.find(({ id }) => id === 'curl');
    const careless = snippet('curl', impostor.url).replace(/--pinnedpubkey '[^']*'/g, '');
    await assert.rejects(async () => curl?.run(t, careless));
    assert.ok(impostor.received.includes(team.mia.key));
  });
});
