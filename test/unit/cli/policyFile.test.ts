import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { followPolicy, PolicyFile, policyIn } from '../../../src/cli/policyFile.ts';
import { GuardError } from '../../../src/guard/errors.ts';
import type { PolicyDocument } from '../../../src/guard/policy/policyDocument.ts';
import { Signal } from '../../support/signal.ts';

const invalid: readonly (readonly [text: string, says: string])[] = [
  ['', 'line 1, column 1: A value is expected here.'],
  [
    '{\n  "roles": {\n    "member": { "cloud": true, }\n  }\n}',
    'line 3, column 32: A name in double quotes is expected here, after a comma.',
  ],
  ['{"roles":{"a":{}},\n"roles":{}}', 'line 2, column 1: The name "roles" is there twice.'],
  ['[]', 'line 1, column 1: policy: must be an object in { }.'],
  ['{\n "rules": {}}', 'line 2, column 2: rules: is not known here.'],
  [
    '{"roles": {\n  "member": {"limits":\n    {"tokensPerDay": 0}}}}',
    'line 3, column 6: roles.member.limits.tokensPerDay: must be a whole number above 0.',
  ],
  [
    '{"roles":{"member":\n{"can":["read","fly"]}}}',
    'line 2, column 16: roles.member.can.1: must be one of read, infer, manage.',
  ],
  ['{"roles":{"Big Boss":{}}}', 'line 1, column 11: roles.Big Boss: must be a lower-case name such as ci-bots.'],
  ['{"issuers":[\n{"issuer":"https://a.example"}]}', 'line 2, column 1: issuers.0.audience: must be there.'],
  ['{"queue":{"length":0}}', 'line 1, column 11: queue.length: must be 1 or more.'],
  ['{"queue":{"length":99999}}', 'line 1, column 11: queue.length: must be 10000 or less.'],
  ['{"queue":{"length":"many"}}', 'line 1, column 11: queue.length: must be a whole number.'],
  ['{"queue":{"length":1.5}}', 'line 1, column 11: queue.length: must be a whole number.'],
  [
    '{"roles":{"admin":{"clamps":{\n"uploadBytes":null}}}}',
    'line 2, column 1: roles.admin.clamps.uploadBytes: must be a whole number.',
  ],
  ...['0', '7', '100', '4294967294'].map(
    (name) =>
      [
        `{"issuers":[{"issuer":"https://a.example","audience":["x"],\n"roles":{"staff":"admin","${name}":"member"}}]}`,
        `line 2, column 26: issuers.0.roles.${name}: must not be a number, because those would come before all others.`,
      ] as const,
  ),
];

describe('policyIn', () => {
  for (const [text, says] of invalid) {
    it(`says where and why: ${says}`, () => {
      assert.throws(
        () => policyIn(text, '/data/policy.json'),
        (error) => {
          assert.ok(GuardError.is(error, 'policy-invalid'));
          assert.equal(error.message, `/data/policy.json, ${says}`);
          return true;
        },
      );
    });
  }

  it("keeps the order of an issuer's roles, which decides", () => {
    const names = ['z', '007', '-1', '1.0', '12345678901', 'a', '100x', ''];
    const roles = names.map((name) => `${JSON.stringify(name)}:"member"`).join();
    const text = `{"issuers":[{"issuer":"https://a.example","audience":["x"],"claims":{"role":"groups"},"roles":{${roles}}}]}`;
    assert.deepEqual(Object.keys(policyIn(text, 'x').issuers?.[0]?.roles ?? {}), names);
  });

  it('takes a byte order mark', () => {
    assert.deepEqual(policyIn('\uFEFF{"queue":{"length":7}}\r\n', 'x'), { queue: { length: 7 } });
  });
});

/** A file that is followed, and what came of it so far. */
async function follow(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'ollama-guard-policy-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = PolicyFile.in(folder);
  const first = await file.read();
  const policies: PolicyDocument[] = [];
  const said: string[] = [];
  const signal = new Signal();
  const end = followPolicy(
    file,
    (policy) => {
      policies.push(policy);
      signal.notify();
    },
    (line) => {
      said.push(line);
      signal.notify();
    },
  );
  t.after(end);
  const counts = (made: number, lines: number) =>
    signal.until(() => (policies.length === made && said.length === lines ? true : undefined));
  return { path: file.path, first, policies, said, counts };
}

const length = (count: number) => JSON.stringify({ queue: { length: count } });

describe('a policy file that is followed', () => {
  it('tells of what was written, keeps the last good one, and goes back to the defaults when it is gone', async (t) => {
    const { path, first, policies, said, counts } = await follow(t);
    assert.equal(first, undefined);
    await writeFile(path, length(5));
    await counts(1, 1);
    assert.deepEqual(policies, [{ queue: { length: 5 } }]);
    assert.equal(said[0], `The policy in ${path} has changed, and holds from now on.`);

    await writeFile(path, '{"queue":\n  oops}');
    await counts(1, 2);
    assert.equal(said[1], `${path}, line 2, column 3: A value is expected here. The policy stays as it was.`);
    await writeFile(path, '{"queue":{"length":0}}');
    await counts(1, 3);
    assert.match(said[2] ?? '', /queue\.length: must be 1 or more\. The policy stays as it was\.$/);
    await writeFile(path, length(6));
    await counts(2, 4);
    assert.deepEqual(policies[1], { queue: { length: 6 } });

    await rm(path);
    await counts(3, 5);
    assert.deepEqual(policies[2], {});
    assert.equal(said[4], `${path} is gone. The default policy holds from now on.`);
  });

  it('is not taken back when it is a link whose target is away', { skip: process.platform === 'win32' }, async (t) => {
    const { path, policies, said, counts } = await follow(t);
    const target = `${path}.real`;
    await writeFile(target, length(5));
    await symlink(target, path);
    await counts(1, 1);
    await rm(target);
    await counts(1, 2);
    assert.match(said[1] ?? '', /cannot be used \(ENOENT\).* The policy stays as it was\.$/);
    await writeFile(target, length(6));
    await counts(2, 3);
    assert.deepEqual(policies[1], { queue: { length: 6 } });
    await rm(target);
    await assert.rejects(new PolicyFile(path).read(), /ENOENT/);
  });

  it('sees what changed between the first read and the watch', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'ollama-guard-policy-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = PolicyFile.in(folder);
    await file.read();
    await writeFile(file.path, length(5));
    const changed = Promise.withResolvers<PolicyDocument | undefined>();
    t.after(file.watch(changed.resolve, changed.reject));
    assert.deepEqual(await changed.promise, { queue: { length: 5 } });
  });

  const begins: readonly (readonly [how: string, begin: (path: string) => void])[] = [
    ['moves the old file away first', (path) => renameSync(path, `${path}~`)],
    ['empties the file first', (path) => writeFileSync(path, '')],
    ['writes half of it first', (path) => writeFileSync(path, length(6).slice(0, 9))],
  ];
  for (const [how, begin] of begins) {
    it(`says nothing of what is only half saved, when an editor ${how}`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'ollama-guard-policy-'));
      t.after(() => rm(folder, { recursive: true, force: true }));
      const file = PolicyFile.in(folder);
      await writeFile(file.path, length(5));
      await file.read();
      begin(file.path);
      const changed = Promise.withResolvers<PolicyDocument | undefined>();
      t.after(file.watch(changed.resolve, changed.reject));
      // By now the watch has seen the file as it is, and waits for what becomes of it.
      setTimeout(() => writeFileSync(file.path, length(6)), 50);
      assert.deepEqual(await changed.promise, { queue: { length: 6 } });
    });
  }
});
