import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatAuthorizedKeys, parseAuthorizedKeys } from '../../../src/guard/identity/authorizedKeys.ts';
import { createPublicKeyRecord } from '../../../src/guard/identity/publicKey.ts';
import type { User } from '../../../src/guard/identity/users.ts';
import { createCliKey } from '../../support/ollamaCli.ts';
import { userOf } from '../../support/usersOf.ts';

const { blob, line } = createCliKey();
const keyOf = (label: string) => createPublicKeyRecord(createCliKey().line, label);

describe('a file of public keys', () => {
  it('names a user, a key and a label in each line', () => {
    const cases = [
      ['', { blob, label: '' }],
      ['bob', { user: 'bob', blob, label: '' }],
      ['anna@laptop', { user: 'anna@laptop', blob, label: '' }],
      ['anna old laptop', { user: 'anna', blob, label: 'old laptop' }],
      ['\tanna  a/b ', { user: 'anna', blob, label: 'a/b' }],
      ['bob *', { user: 'bob', blob, label: '' }],
      ['Jürgen at work', { blob, label: 'Jürgen at work' }],
      ['-x', { blob, label: '-x' }],
      [`${'a'.repeat(65)}`, { blob, label: 'a'.repeat(65) }],
    ] as const;
    for (const [comment, entry] of cases) {
      assert.deepEqual(parseAuthorizedKeys(`${line} ${comment}\r\n`), { entries: [entry], problems: [] }, comment);
    }
  });

  it('may hold comments, empty lines and any line ends', () => {
    const text = `# ${line} eve\r\n\r\n  ${line}\tbob\r\n\n\t# x\n${line} mia`;
    const { entries, problems } = parseAuthorizedKeys(text);
    assert.deepEqual([entries.map(({ user }) => user), problems], [['bob', 'mia'], []]);
  });

  it('lets no key do more here than there: what holds one back is a problem, by its line', () => {
    const cases = {
      paths: [`${line} bob /api/tags,/api/chat`, /some paths/],
      'one path': [`${line} bob /api/tags`, /some paths/],
      'paths after a label': [`${line} bob laptop /api/tags`, /some paths/],
      'paths without a name': [`${line} /api/tags`, /some paths/],
      'any name': [`${line} * /api/tags`, /some paths/],
      'a pattern of paths': [`${line} bob */tags`, /some paths/],
      'all but a path': [`${line} bob !/api/pull`, /some paths/],
      'an option': [`from="10.0.0.0/8" ${line} bob`, /Options/],
      'several options': [`restrict,command="a b" ${line} bob`, /Options/],
      'a host': [`cert-authority ${line} bob`, /Options/],
      'any key': ['* * * /api/tags', /no line of a key/],
      RSA: ['ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 bob', /another type/],
      ECDSA: ['ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= bob', /another type/],
      'a security key': ['sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t bob', /another type/],
      'a certificate': [`ssh-ed25519-cert-v01@openssh.com ${blob} bob`, /another type/],
      'a type alone': ['ssh-ed25519', /no line of a key/],
      'a key cut off': [`ssh-ed25519 ${blob.slice(0, -1)} bob`, /damaged/],
      'a key and more': [`ssh-ed25519 ${blob}AAAA bob`, /damaged/],
      'the length of another key': [`ssh-ed25519 ${blob.slice(0, 25)}a${blob.slice(26)} bob`, /damaged/],
      'a private key': ['-----BEGIN OPENSSH PRIVATE KEY-----', /no line of a key/],
    } as const;
    for (const [what, [text, reason]] of Object.entries(cases)) {
      const { entries, problems } = parseAuthorizedKeys(`\n${text}\n`);
      assert.deepEqual(entries, [], what);
      assert.deepEqual(
        problems.map((problem) => problem.line),
        [2],
        what,
      );
      assert.match(problems[0]?.reason.text ?? '', reason, what);
    }
  });

  it('can be any text', () => {
    const word = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('ssh-ed25519', blob, ' ', '\n', '*', '/api/'));
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const { entries, problems } = parseAuthorizedKeys(words.join(' '));
        assert.ok(entries.every((entry) => entry.blob === blob));
        assert.ok(problems.every((problem) => problem.line >= 1));
      }),
    );
  });

  const usersWith = (labels: readonly (readonly string[])[]) =>
    labels.map((own, i): User => ({ ...userOf(`user${i}`, i), publicKeys: own.map(keyOf) }));
  const labelsOf = (label: fc.Arbitrary<string>) => fc.array(fc.array(label, { maxLength: 3 }), { maxLength: 4 });

  it('is read back as it was written', () => {
    const label = fc.string({ unit: fc.constantFrom(...'anna@laptop, a/b #1 ü'), maxLength: 40 });
    const plain = label.map((text) => text.trim()).filter((text) => !/(^| )\//.test(text));
    fc.assert(
      fc.property(labelsOf(plain), (labels) => {
        const users = usersWith(labels);
        const expected = users.flatMap(({ name: user, publicKeys = [] }) =>
          publicKeys.map((key) => ({ user, blob: key.blob, label: key.label })),
        );
        assert.deepEqual(parseAuthorizedKeys(formatAuthorizedKeys(users)), { entries: expected, problems: [] });
      }),
      { numRuns: 30 },
    );
  });

  it('has every key, whatever the labels', () => {
    const word = fc.oneof(fc.string({ unit: 'binary', maxLength: 9 }), fc.constantFrom('*', '/api/', '\n', 'ssh-rsa '));
    const label = fc.array(word, { maxLength: 4 }).map((words) => words.join(' '));
    fc.assert(
      fc.property(labelsOf(label), (labels) => {
        const users = usersWith(labels);
        const { entries, problems } = parseAuthorizedKeys(formatAuthorizedKeys(users));
        assert.deepEqual(problems, []);
        assert.deepEqual(
          entries.map((entry) => `${entry.user} ${entry.blob}`),
          users.flatMap(({ name, publicKeys = [] }) => publicKeys.map((key) => `${name} ${key.blob}`)),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('holds no key of who is switched off, and none that has run out', () => {
    const at = Date.parse('2026-06-01T00:00:00Z');
    const [past, future] = ['2026-05-01T00:00:00.000Z', '2026-07-01T00:00:00.000Z'];
    const users: readonly User[] = [
      { ...userOf('off', 1), disabled: true, publicKeys: [keyOf('')] },
      { ...userOf('gone', 2), expiresAt: past, publicKeys: [keyOf('')] },
      { ...userOf('mia', 3), expiresAt: future, publicKeys: [{ ...keyOf('old'), expiresAt: past }, keyOf('new')] },
    ];
    const { entries } = parseAuthorizedKeys(formatAuthorizedKeys(users, at));
    assert.deepEqual(
      entries.map(({ user, label }) => [user, label]),
      [['mia', 'new']],
    );
  });
});
