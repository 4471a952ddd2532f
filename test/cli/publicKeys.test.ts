import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createCliKey } from '../support/ollamaCli.ts';
import { ollamaGuard, temporaryFolder } from './command.ts';

describe('ollama-guard user pubkey', () => {
  it('adds, lists and removes the public key of an ollama command line', async (t) => {
    const data = await temporaryFolder(t);
    const run = (args: readonly string[], input?: string) => ollamaGuard(['user', ...args, '--data', data], input);
    await run(['add', 'alice', '--no-password']);
    await run(['add', 'bob', '--no-password']);
    const file = join(data, 'id_ed25519.pub');
    const [first, second] = [createCliKey('alice@\u001b[2Jlaptop\u009b'), createCliKey()];
    await writeFile(file, `${first.line}\n`);

    const added = await run(['pubkey', 'alice', file]);
    assert.equal(added.code, 0, added.err);
    assert.match(added.err, /^Added public key [a-z2-9]{10} of alice: OLLAMA_AUTH=1 /);
    assert.equal((await run(['pubkey', 'alice', '-'], second.line)).code, 0);
    const listed = (await run(['pubkey', 'alice', '--list'])).out;
    assert.match(listed, /^[a-z2-9]{10}\talice@\[2Jlaptop\t\S+\n[a-z2-9]{10}\t\t\S+\n$/);
    assert.match((await run(['list'])).out, /^alice\tmember\t0 API keys\t2 public keys\nbob\tmember\t0 API keys\n$/);
    const none = 'bob has no public key yet. Add one: ollama-guard user pubkey bob FILE\n';
    assert.deepEqual(await run(['pubkey', 'bob', '--list']), { code: 0, out: '', err: none });

    const before = await readFile(join(data, 'users.json'), 'utf8');
    const id = listed.slice(0, 10);
    const refused: readonly (readonly [args: readonly string[], code: number, says: RegExp, input?: string])[] = [
      [['pubkey', 'bob', file], 1, /is of user alice already/],
      [['pubkey', 'carl', file], 1, /There is no user "carl"/],
      [['pubkey', 'carl', '--list'], 1, /There is no user "carl"/],
      [['pubkey', 'bob', '-'], 1, /Paste the one line of ~\/\.ollama\/id_ed25519\.pub/, 'ssh-rsa AAAA bob'],
      [['pubkey', 'bob', '-'], 1, /Paste the one line/, first.pem],
      [['pubkey', 'bob', join(data, 'nothing.pub')], 2, /nothing\.pub cannot be read \(ENOENT\)\./],
      [['pubkey', 'bob', '--remove', id], 1, /bob has no public key .*pubkey bob --list/],
      [['pubkey', 'bob'], 2, /Name a file/],
      [['pubkey', 'bob', file, '--list'], 2, /Name a file/],
      [['pubkey', 'bob', '--list', '--remove', id], 2, /Name a file/],
    ];
    for (const [args, code, says, input] of refused) {
      const outcome = await run(args, input);
      assert.equal(outcome.code, code, outcome.err);
      assert.match(outcome.err, says);
      assert.equal(outcome.out, '');
    }
    assert.equal(await readFile(join(data, 'users.json'), 'utf8'), before);

    assert.equal((await run(['pubkey', 'alice', '--remove', id])).err, `Removed public key ${id} of alice.\n`);
    assert.equal((await run(['pubkey', 'alice', '--list'])).out, listed.split('\n').slice(1).join('\n'));
  });
});

describe('ollama-guard user pubkeys', () => {
  it('imports a file of them once, says what it left out, and exports what it took', async (t) => {
    const data = await temporaryFolder(t);
    const run = (args: readonly string[], input?: string) => ollamaGuard(['user', ...args, '--data', data], input);
    await run(['add', 'alice', '--role', 'admin', '--no-password']);
    const lines = ['alice laptop', 'bob', 'bob ci', '', 'bob /api/tags'].map((comment) => createCliKey(comment).line);
    const file = join(data, 'authorized_keys');
    await writeFile(file, ['# the team', ...lines, 'ssh-rsa AAAA carl', ''].join('\n'));

    const imported = await run(['pubkeys', 'import', file, '--role', 'viewer']);
    assert.deepEqual([imported.code, imported.out], [0, ''], imported.err);
    assert.match(
      imported.err,
      /^Line 5 was left out: write the user's name after the key\.\nLine 6 was left out\. .*\nLine 7 was left out\. .*\nbob is new, as viewer\.\nAdded 3 public keys and 1 user\.\n$/,
    );
    const after = await readFile(join(data, 'users.json'), 'utf8');
    assert.equal(
      (await run(['list'])).out,
      'alice\tadmin\t0 API keys\t1 public key\nbob\tviewer\t0 API keys\t2 public keys\n',
    );

    const again = await run(['pubkeys', 'import', '-'], await readFile(file, 'utf8'));
    assert.match(again.err, /\n3 keys were there already\.\nAdded 0 public keys and 0 users\.\n$/);
    assert.equal(await readFile(join(data, 'users.json'), 'utf8'), after, 'running it twice changes nothing');

    const others = [lines[0]?.replace('alice', 'bob'), createCliKey('ALICE').line].join('\n');
    assert.equal(
      (await run(['pubkeys', 'import', '-'], others)).err,
      [
        'Line 1 was left out: the key is of user alice already.',
        "Line 2 was left out: write the user's name as it is here, alice.",
        'Added 0 public keys and 0 users.',
        '',
      ].join('\n'),
    );

    const exported = await run(['pubkeys', 'export']);
    assert.equal(exported.out, `${lines.slice(0, 3).join('\n')}\n`);
    const elsewhere = await temporaryFolder(t);
    await ollamaGuard(['user', 'pubkeys', 'import', '-', '--data', elsewhere], exported.out);
    assert.equal((await ollamaGuard(['user', 'pubkeys', 'export', '--data', elsewhere])).out, exported.out);
    assert.deepEqual(await ollamaGuard(['user', 'pubkeys', 'export', '--data', await temporaryFolder(t)]), {
      code: 0,
      out: '',
      err: '',
    });
    assert.match((await run(['pubkeys', 'import', join(data, 'nothing')])).err, /cannot be read \(ENOENT\)/);
    const prose = await run(['pubkeys', 'import', '-'], 'This\nis\na\ntext.\n');
    const says = 'ollama-guard: - holds no public keys: their lines begin with ssh-ed25519.\n';
    assert.deepEqual(prose, { code: 2, out: '', err: says });
  });
});
