import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { GuardError } from '../../../src/guard/errors.ts';
import { createInvite, inviteIdOf } from '../../../src/guard/identity/invite.ts';
import { editorLink, type Invite, pageLink, parseInviteLink } from '../../../src/guard/share/inviteLink.ts';

const refused = (error: unknown) => GuardError.is(error, 'link-invalid');
const byte = fc.integer({ min: 0, max: 255 }).map((value) => value.toString(16).padStart(2, '0').toUpperCase());
const address = fc
  .tuple(
    fc.constantFrom('http', 'https'),
    fc.oneof(fc.ipV4(), fc.constant('[2001:db8::1]'), fc.constantFrom('gpu.example.org', 'gpu.local')),
    fc.integer({ min: 1, max: 65_535 }),
  )
  .map(([scheme, host, port]) => new URL(`${scheme}://${host}:${port}`).origin);
const invite: fc.Arbitrary<Invite> = fc
  .record(
    {
      addresses: fc.array(address, { minLength: 1, maxLength: 16 }),
      caSha256: fc.array(byte, { minLength: 32, maxLength: 32 }).map((bytes) => bytes.join(':')),
      user: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/),
    },
    { requiredKeys: ['addresses', 'user'] },
  )
  // A fingerprint is of an endpoint that encrypts.
  .filter(({ addresses, caSha256 }) => caSha256 === undefined || addresses.some((one) => one.startsWith('https:')))
  .map((fields) => ({ ...fields, code: createInvite().code }));

const one: Invite = { addresses: ['https://192.0.2.5:11435'], code: createInvite().code, user: 'alice' };
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const payloadOf = (link: string) => JSON.parse(Buffer.from(link.split('#')[1] ?? '', 'base64url').toString());

test('what a link of either kind says is read back as it was', () => {
  fc.assert(
    fc.property(invite, (what) => {
      for (const link of [editorLink('vscode-insiders', 'ollama-guard.ollama-guard', what), pageLink(what)]) {
        assert.deepEqual(parseInviteLink(link), what);
        assert.deepEqual(parseInviteLink(` ${link}\n`), what, 'as it is pasted');
        assert.ok(inviteIdOf(parseInviteLink(link).code));
      }
    }),
  );
});

test('a link is of its kind, and what it says stands behind the # alone', () => {
  assert.match(editorLink('cursor', 'a.b', one), /^cursor:\/\/a\.b\/join#[A-Za-z0-9_-]+$/);
  const page = pageLink(one);
  assert.match(page, /^https:\/\/192\.0\.2\.5:11435\/_guard\/join#[A-Za-z0-9_-]+$/);
  assert.ok(!page.includes(one.code));
});

test('anything else is refused', () => {
  const payload = payloadOf(pageLink(one));
  const digest = 'A'.repeat(43);
  const wrong: readonly object[] = [
    { ...payload, v: 2 },
    { ...payload, v: '1' },
    { ...payload, more: 1 },
    { ...payload, a: [] },
    { ...payload, a: Array(17).fill('https://192.0.2.5:1') },
    { ...payload, a: ['http://192.0.2.5:1'], f: digest },
    { ...payload, a: ['https://192.0.2.5,evil.example'] },
    { ...payload, a: ['https://$(verified)x'] },
    { ...payload, a: ["https://`a'b"] },
    { ...payload, a: 'https://192.0.2.5:1' },
    ...[
      'ftp://192.0.2.5:1',
      'https://user:secret@192.0.2.5:1',
      'https://192.0.2.5:1/',
      'https://192.0.2.5:1/path',
      'https://192.0.2.5:1?x',
      'https://192.0.2.5:1#x',
      'HTTPS://192.0.2.5:1',
      'https://192.0.2.5:443',
      'https://0x7f000001:1',
      'javascript:alert(1)',
      'file:///etc/passwd',
      'null',
      '',
      `https://${'a.'.repeat(150)}example:1`,
    ].map((url) => ({ ...payload, a: [url] })),
    { ...payload, f: digest.slice(1) },
    { ...payload, f: `${digest}=` },
    { ...payload, c: payload.c.slice(1) },
    { ...payload, c: `${payload.c}x` },
    { ...payload, c: undefined },
    { ...payload, u: '-a' },
    { ...payload, u: 'a b' },
    { ...payload, u: 'x'.repeat(65) },
    { ...payload, u: '<b>' },
    [payload],
  ];
  for (const value of wrong) {
    assert.throws(() => parseInviteLink(`https://192.0.2.5:1/_guard/join#${encode(value)}`), refused, inspect(value));
  }
  assert.equal(parseInviteLink(`x#${encode({ ...payload, f: digest })}`).caSha256?.length, 95);
});

test('a text that is no link is refused, whatever it is', () => {
  const link = pageLink(one);
  for (const text of ['', '#', link.split('#')[0], link.slice(0, -9), `${link}#`, `${link}%20`, `${link} x`]) {
    assert.throws(() => parseInviteLink(text ?? ''), refused, text);
  }
  fc.assert(fc.property(fc.string(), (text) => assert.throws(() => parseInviteLink(`#${text}`), refused)));
  fc.assert(fc.property(fc.json(), (json) => assert.throws(() => parseInviteLink(`#${encode(json)}`), refused)));
});

test('what is refused is quoted nowhere: it may hold a code', () => {
  const payload = JSON.stringify({ ...payloadOf(pageLink(one)), v: 3 });
  for (const text of [payload, `${payload}}`, one.code]) {
    try {
      parseInviteLink(`#${Buffer.from(text).toString('base64url')}`);
      assert.fail('it was taken');
    } catch (error) {
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(one.code.slice(14, 24)), inspect(error));
    }
  }
});
