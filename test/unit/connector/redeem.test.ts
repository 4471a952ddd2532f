import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { joinedList } from '../../../src/connector/joined.ts';
import { redeem } from '../../../src/connector/redeem.ts';
import { GuardError } from '../../../src/guard/errors.ts';
import { inviteIdOf } from '../../../src/guard/identity/invite.ts';
import type { Invite } from '../../../src/guard/share/inviteLink.ts';
import { createCertificates, loopbackNames } from '../../support/certificates.ts';
import { without } from '../../support/debian.ts';
import { startFakeOllama } from '../../support/fakeOllama.ts';
import { freePort } from '../../support/freePort.ts';
import { startGuard, type TestGuard, type TestGuardOptions } from '../../support/guard.ts';
import { startImpostor } from '../../support/impostor.ts';
import { invited } from '../../support/invites.ts';
import { team } from '../../support/people.ts';

const auto = { tls: { mode: 'auto' } } as const;
const never = new AbortController().signal;
const skip = without('openssl');
const { users, code } = invited(team.users, 'mia');

function inviteTo({ guard }: TestGuard, addresses: readonly string[] = [guard.url]): Invite {
  const caSha256 = guard.tls?.anchor?.sha256;
  return { addresses, code, user: 'mia', ...(caSha256 && { caSha256 }) };
}

function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

async function guardFor(t: Parameters<typeof startGuard>[0], config: TestGuardOptions['config']): Promise<TestGuard> {
  return startGuard(t, await startFakeOllama(t), { users, config: { ...config } });
}

async function refusedWith(invite: Invite, errorCode: GuardError['code']): Promise<GuardError> {
  const error = await redeem(invite, never).then(
    () => assert.fail('it was redeemed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(GuardError.is(error, errorCode), String(error));
  return error;
}

for (const [kind, config] of [
  ['over TLS, which the invite alone vouches for', auto],
  ['in the clear', {}],
] as const) {
  test(`an invite is exchanged ${kind}`, async (t) => {
    const guard = await guardFor(t, config);
    const redeemed = await redeem(inviteTo(guard), never);
    assert.equal(redeemed.id, inviteIdOf(code));
    assert.equal(redeemed.user, 'mia');
    assert.deepEqual(redeemed.addresses, [guard.guard.url]);
    assert.equal(redeemed.ca?.trim(), guard.guard.tls?.anchor?.pem.trim());
    assert.deepEqual(joinedList.parse([{ ...redeemed, port: 0 }]).length, 1, 'and can be stored');
    const event = await guard.event('invite-redeemed');
    assert.equal(event.keyId, redeemed.apiKey.slice(3, 13));
  });
}

test('the first address that leads to the endpoint is taken, past those that do not', { skip }, async (t) => {
  const guard = await guardFor(t, auto);
  const certificates = createCertificates(t);
  const impostor = await startImpostor(t, { tls: certificates.sign(...loopbackNames) });
  // Takes connections and never says a word.
  const silent = createServer().listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await once(silent, 'listening');
  const addresses = [
    `https://127.0.0.1:${await freePort()}`,
    `https://127.0.0.1:${impostor.port}`,
    `https://127.0.0.1:${(silent.address() as AddressInfo).port}`,
    guard.guard.url,
  ];
  silent.on('connection', (socket) => t.after(() => socket.destroy()));
  assert.deepEqual((await redeem(inviteTo(guard, addresses), never)).addresses, addresses);
  assert.doesNotMatch(impostor.heard(), /oi_/);
});

test('an invite that was used up is refused in the words of the endpoint', async (t) => {
  const guard = await guardFor(t, auto);
  await redeem(inviteTo(guard), never);
  const { message } = await refusedWith(inviteTo(guard), 'invite-refused');
  assert.match(message, /This invite was used already/);
  const other = { ...inviteTo(guard), code: `${code.slice(0, -4)}AAAA` };
  await refusedWith(other, 'invite-refused');
});

test('where nobody answers, the addresses are named', async () => {
  const addresses = [`http://127.0.0.1:${await freePort()}`, 'http://does-not-exist.invalid:1'];
  const { message } = await refusedWith({ addresses, code, user: 'mia' }, 'endpoint-unreachable');
  for (const address of addresses) assert.ok(message.includes(address));
});

test('an endpoint that encrypts is never asked in the clear', async (t) => {
  const eavesdropper = await startImpostor(t, {});
  const addresses = [`https://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${eavesdropper.port}`];
  await refusedWith({ addresses, code, user: 'mia' }, 'endpoint-unreachable');
  assert.equal(eavesdropper.connections(), 0);
});

test('giving up ends it, with the reason it was given up for', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await once(silent, 'listening');
  const givenUp = new AbortController();
  const address = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  silent.once('connection', (socket) => {
    t.after(() => socket.destroy());
    givenUp.abort();
  });
  await assert.rejects(redeem({ addresses: [address], code, user: 'mia' }, givenUp.signal), { name: 'AbortError' });
});

test('what it is answered is not trusted further than it is understood', async (t) => {
  const key = `og_${'a'.repeat(10)}_${'k'.repeat(43)}`;
  const answers: readonly (readonly [unknown, GuardError['code']])[] = [
    [{}, 'endpoint-unreachable'],
    [{ user: 'mia', apiKey: 'key' }, 'endpoint-unreachable'],
    [{ user: 'mia\u001b[2J', apiKey: key }, 'endpoint-unreachable'],
    [{ error: 'no\u001b[2J\nreally' }, 'invite-refused'],
    [{ error: 'x'.repeat(100_000) }, 'invite-refused'],
    ['x'.repeat(2 * 1024 * 1024), 'endpoint-unreachable'],
  ];
  for (const [body, expected] of answers) {
    const { port } = await startImpostor(t, { answer: (_req, res) => res.end(JSON.stringify(body)) });
    const invite = { addresses: [`http://127.0.0.1:${port}`], code, user: 'mia' };
    const { message } = await refusedWith(invite, expected);
    assert.doesNotMatch(message, /\p{C}/u);
    assert.ok(message.length < 1_000);
  }
});

test('a redirect is not followed', async (t) => {
  const elsewhere = await startImpostor(t, {});
  const here = await startImpostor(t, {
    answer: (_req, res) => res.writeHead(308, { location: `http://127.0.0.1:${elsewhere.port}/_guard/join` }).end(),
  });
  await refusedWith({ addresses: [`http://127.0.0.1:${here.port}`], code, user: 'mia' }, 'endpoint-unreachable');
  assert.equal(elsewhere.connections(), 0);
});

test('a man in the middle gets no code', { skip }, async (t) => {
  const guard = await guardFor(t, auto);
  const caOfEndpoint = guard.guard.tls?.anchor?.pem ?? '';
  const own = createCertificates(t);
  const endpoint = createCertificates(t);
  const serves = (pem: string) => (req: IncomingMessage, res: ServerResponse) =>
    res.end(req.url === '/_guard/ca.pem' ? pem : '{}');
  const cases = {
    'its own authority': { tls: own.sign(...loopbackNames), pem: own.ca, sha256: fingerprint(caOfEndpoint) },
    "the endpoint's authority, which it can fetch": {
      tls: own.sign(...loopbackNames),
      pem: caOfEndpoint,
      sha256: fingerprint(caOfEndpoint),
    },
    'both authorities': {
      tls: own.sign(...loopbackNames),
      pem: `${caOfEndpoint}\n${own.ca}`,
      sha256: fingerprint(caOfEndpoint),
    },
    'a certificate of that authority for another host': {
      tls: endpoint.sign('IP:192.0.2.7', 'DNS:elsewhere.example'),
      pem: endpoint.ca,
      sha256: fingerprint(endpoint.ca),
    },
    'no authority at all': { tls: own.sign(...loopbackNames), pem: '', sha256: fingerprint(caOfEndpoint) },
  };
  for (const [what, { tls, pem, sha256 }] of Object.entries(cases)) {
    const impostor = await startImpostor(t, { tls, answer: serves(pem) });
    const addresses = [`https://127.0.0.1:${impostor.port}`];
    const { message } = await refusedWith({ addresses, code, user: 'mia', caSha256: sha256 }, 'certificate-refused');
    assert.match(message, /is not the endpoint that the invite is for/, what);
    assert.match(impostor.heard(), /GET \/_guard\/ca\.pem/, what);
    assert.ok(!impostor.heard().includes(code), what);
  }
  // The same server is told the code by those whose invite says to trust it, so that the cases above can fail.
  const trusted = await startImpostor(t, { tls: own.sign(...loopbackNames), answer: serves(own.ca) });
  const addresses = [`https://127.0.0.1:${trusted.port}`];
  await refusedWith({ addresses, code, user: 'mia', caSha256: fingerprint(own.ca) }, 'endpoint-unreachable');
  assert.ok(trusted.heard().includes(code));
});

test('without a fingerprint, what the system does not trust gets no code', { skip }, async (t) => {
  const own = createCertificates(t);
  const tls = own.sign(...loopbackNames);
  const impostor = await startImpostor(t, { tls });
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.after(() => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  });
  const addresses = [`https://127.0.0.1:${impostor.port}`];
  await refusedWith({ addresses, code, user: 'mia' }, 'certificate-refused');
  assert.equal(impostor.heard(), '');
});

test("an endpoint's own certificate can be what the invite vouches for", { skip }, async (t) => {
  const own = createCertificates(t);
  const { certificate, key } = own.sign(...loopbackNames);
  const guard = await guardFor(t, { tls: { mode: 'files', certificate, key } });
  const leaf = fingerprint(readFileSync(certificate, 'utf8'));
  assert.equal(guard.guard.tls?.anchor?.sha256, leaf);
  assert.equal((await redeem(inviteTo(guard), never)).user, 'mia');
});

test('an answer of 101, which nobody asked for, does not hold it up for good', async (t) => {
  const server = createServer((socket) => {
    const switching = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';
    socket.on('error', () => {}).once('data', () => socket.end(switching));
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await refusedWith({ addresses: [`http://127.0.0.1:${port}`], code, user: 'mia' }, 'endpoint-unreachable');
});
