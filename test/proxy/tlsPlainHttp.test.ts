// Plain HTTP at an encrypted endpoint: a redirect for who only looks, words for everybody else, and nothing ever done.
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, it, type TestContext } from 'node:test';
import { staysOnThisComputer } from '../../src/guard/entry/listener.ts';
import { createCertificates, loopbackNames } from '../support/certificates.ts';
import { without } from '../support/debian.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { type RawRequest, type RawResponse, request } from '../support/rawClient.ts';

const skip = without('openssl');
const certificates = skip ? undefined : createCertificates();
const tls = { mode: 'files', certificate: '', key: '', ...certificates?.sign(...loopbackNames) } as const;
const bearer = { authorization: team.mia.bearer };

describe('plain HTTP at an encrypted endpoint', { skip }, () => {
  const start = async (t: TestContext, config: object = {}) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config: { tls, allowedHosts: ['gpu.example.org'], ...config } });
    return { upstream, guard };
  };

  const redirected: readonly (readonly [name: string, request: RawRequest, location: string])[] = [
    ['GET', { path: '/' }, 'https://HOST/'],
    ['HEAD', { path: '/', method: 'HEAD' }, 'https://HOST/'],
    ['the page for invites', { path: '/_guard/join' }, 'https://HOST/_guard/join'],
    ['a query, which may hold a secret', { path: '/api/tags?api-key=hidden' }, 'https://HOST/api/tags'],
    ['a path that does not exist', { path: '/nope' }, 'https://HOST/nope'],
    ['another port', { headers: { host: '127.0.0.1:80' } }, 'https://127.0.0.1:80/api/tags'],
    ['a configured name', { headers: { host: 'GPU.example.org' } }, 'https://GPU.example.org/api/tags'],
    ['an IPv6 address', { headers: { host: '[::1]:1234' } }, 'https://[::1]:1234/api/tags'],
  ];
  for (const [name, what, location] of redirected) {
    it(`redirects ${name}`, async (t) => {
      const { upstream, guard } = await start(t);
      const answer = await guard.call(what);
      assert.equal(answer.status, 308);
      assert.equal(answer.headers.location, location.replace('HOST', `127.0.0.1:${guard.port}`));
      assert.equal(answer.headers['cache-control'], 'no-store');
      assert.equal(answer.headers['strict-transport-security'], undefined);
      assert.equal(answer.headers.connection, 'close');
      assert.equal(answer.text, '');
      assert.equal(upstream.requests.length, 0);
    });
  }

  const plainHttp = 'This endpoint is encrypted. Write https:// in place of http://.';
  const told: readonly (readonly [name: string, request: RawRequest, error: unknown])[] = [
    ['an API key', { headers: bearer }, { error: plainHttp }],
    ['a password', { headers: { authorization: team.mia.basic } }, { error: plainHttp }],
    ['x-api-key', { headers: { 'x-api-key': team.mia.key } }, { error: plainHttp }],
    ['an empty credential', { headers: { authorization: '' } }, { error: plainHttp }],
    ['a credential for a proxy', { headers: { 'proxy-authorization': team.mia.basic } }, { error: plainHttp }],
    ['a cookie', { headers: { cookie: 'a=b' } }, { error: plainHttp }],
    ['a POST', { method: 'POST', path: '/api/chat', body: '{"model":"m"}' }, { error: plainHttp }],
    ['a GET with a body', { body: '{}' }, { error: plainHttp }],
    ['a DELETE', { method: 'DELETE', path: '/api/delete' }, { error: plainHttp }],
    ['a code of an invite', { method: 'POST', path: '/_guard/join', body: '{}' }, { error: plainHttp }],
    [
      "OpenAI's dialect",
      { path: '/v1/models', headers: bearer },
      { error: { message: plainHttp, type: 'invalid_request_error', param: null, code: 'plain-http' } },
    ],
    [
      "Anthropic's dialect",
      { method: 'POST', path: '/v1/messages', headers: { 'x-api-key': team.mia.key }, body: '{"model":"m"}' },
      { type: 'error', error: { type: 'invalid_request_error', message: plainHttp } },
    ],
  ];
  for (const [name, what, error] of told) {
    it(`says so in words to ${name}`, async (t) => {
      const { upstream, guard } = await start(t);
      const answer = await guard.call(what);
      assert.equal(answer.status, 400);
      assert.deepEqual(JSON.parse(answer.text), error);
      assert.equal(answer.headers.location, undefined);
      assert.equal(answer.headers.connection, 'close');
      assert.equal(upstream.requests.length, 0);
      assert.equal(guard.compares.length, 0, 'no password is looked at');
    });
  }

  const refused: readonly (readonly [name: string, request: RawRequest, status: number])[] = [
    ['a foreign Host', { headers: { host: 'evil.example' } }, 403],
    ['a Host that is more than one', { headers: { host: 'localhost/#@evil.example' } }, 403],
    ['a Host with a user', { headers: { host: 'x@localhost' } }, 403],
    ['no Host', { lines: ['Host:'] }, 403],
    ['two Hosts', { lines: ['Host: localhost', 'Host: evil.example'] }, 400],
    ['an absolute target', { path: 'http://evil.example/' }, 400],
    ['a path of another host', { path: '//evil.example/' }, 400],
    ['a path that is not plain', { path: '/%2f/evil.example' }, 400],
    ['a foreign page', { headers: { origin: 'https://evil.example' } }, 403],
  ];
  for (const [name, what, status] of refused) {
    it(`redirects nobody for ${name} (SEC-13)`, async (t) => {
      const { guard } = await start(t);
      const answer = await guard.call(what);
      assert.equal(answer.status, status);
      assert.equal(answer.headers.location, undefined);
    });
  }

  it('is reported without a user, and without what was sent', async (t) => {
    const { guard } = await start(t);
    await guard.call({ path: '/api/tags?secret', headers: bearer });
    await guard.call({ path: '/api/tags?secret' });
    await guard.guard.stop(0);
    assert.deepEqual(
      guard.events.map((event) => event.type === 'request' && [event.path, event.status, event.user]),
      [
        ['/api/tags', 400, undefined],
        ['/api/tags', 308, undefined],
      ],
    );
  });

  it('is served to programs on this computer where the owner wants it so', async (t) => {
    const { upstream, guard } = await start(t, { plainOnLoopback: true });
    const answer = await guard.call({ headers: bearer });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['strict-transport-security'], undefined);
    assert.equal((await guard.call({})).status, 401);
    assert.equal(upstream.requests.length, 1);
  });

  const [external] = Object.values(networkInterfaces())
    .flat()
    .filter((entry) => entry !== undefined && !entry.internal && entry.family === 'IPv4');
  const skipExternal = external === undefined && 'needs an address beside loopback';

  it('is served to nobody who comes by another address, loopback in the Host or not', {
    skip: skipExternal,
  }, async (t) => {
    const { upstream, guard } = await start(t, { host: '0.0.0.0', plainOnLoopback: true });
    const host = external?.address ?? '';
    const from = (options: object, headers: Record<string, string> = {}): Promise<RawResponse> =>
      request(t, guard.port, { headers: { ...bearer, ...headers } }, options);
    const forged = { host: 'localhost', 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1;proto=https' };
    assert.equal((await from({ host })).status, 400);
    assert.equal((await from({ host }, forged)).status, 400);
    // One end on loopback is not enough.
    assert.equal((await from({ host: '127.0.0.1', localAddress: host })).status, 400);
    assert.equal((await from({ host: '127.0.0.1' })).status, 200);
    assert.equal(upstream.requests.length, 1);
  });
});

it('both ends have to be loopback addresses', () => {
  const cases: readonly (readonly [string | undefined, string | undefined, boolean])[] = [
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '127.8.9.10', true],
    ['::1', '::1', true],
    ['::ffff:127.0.0.1', '::ffff:127.0.0.1', true],
    ['127.0.0.1', '192.168.1.5', false],
    ['192.168.1.5', '127.0.0.1', false],
    ['::ffff:192.168.1.5', '::1', false],
    ['fe80::1%lo', '::1', false],
    ['127.0.0.1', undefined, false],
    [undefined, undefined, false],
  ];
  for (const [localAddress, remoteAddress, stays] of cases) {
    const socket = { localAddress, remoteAddress } as Socket;
    assert.equal(staysOnThisComputer(socket), stays, `${localAddress} ${remoteAddress}`);
  }
});
