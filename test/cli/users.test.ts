import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import bcrypt from 'bcryptjs';
import { ollamaGuard, temporaryFolder } from './command.ts';

const stackTrace = /\n\s+at /;

describe('ollama-guard user and key', () => {
  it('adds, lists, changes and removes users; prints a generated password alone on stdout', async (t) => {
    const data = join(await temporaryFolder(t), 'data');
    const added = await ollamaGuard(['user', 'add', 'alice', '--data', data]);
    assert.equal(added.code, 0);
    assert.match(added.out, /^[A-Za-z0-9-]{25}\n$/);
    assert.equal(
      (await ollamaGuard(['user', 'add', 'bob', '--role', 'admin', '--password-stdin', '--data', data], 'pw\n')).out,
      '',
    );

    const users = JSON.parse((await ollamaGuard(['user', 'list', '--json', '--data', data])).out);
    assert.deepEqual(
      users.map(({ name, role }: { name: string; role: string }) => [name, role]),
      [
        ['alice', 'member'],
        ['bob', 'admin'],
      ],
    );
    const file = await readFile(join(data, 'users.json'), 'utf8');
    assert.ok(!file.includes(added.out.trim()), 'no password is stored');
    assert.equal((await stat(data)).mode & 0o777, 0o700);
    assert.equal((await stat(join(data, 'users.json'))).mode & 0o777, 0o600);

    assert.equal((await ollamaGuard(['user', 'passwd', 'bob', '--password-stdin', '--data', data], 'other')).code, 0);
    assert.notEqual(await readFile(join(data, 'users.json'), 'utf8'), file);
    assert.equal((await ollamaGuard(['user', 'remove', 'alice', '--data', data])).code, 0);
    assert.equal(JSON.parse((await ollamaGuard(['user', 'list', '--json', '--data', data])).out).length, 1);
    assert.deepEqual(await readdir(data), ['users.json']);
  });

  it('adds, lists and revokes API keys; prints a key once, alone on stdout', async (t) => {
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--data', data]);
    const key = await ollamaGuard(['key', 'add', 'alice', '--label', 'ci', '--expires', '30d', '--data', data]);
    assert.match(key.out, /^og_[a-z2-9]{10}_[\w-]{43}\n$/);
    assert.ok(!(await readFile(join(data, 'users.json'), 'utf8')).includes(key.out.trim()), 'no key is stored');
    const [listed] = JSON.parse((await ollamaGuard(['key', 'list', 'alice', '--json', '--data', data])).out);
    assert.equal(listed.label, 'ci');
    assert.equal((await ollamaGuard(['key', 'revoke', listed.id, '--data', data])).code, 0);
    assert.deepEqual(JSON.parse((await ollamaGuard(['key', 'list', '--json', '--data', data])).out), []);
  });

  it('says when keys run out or did, and what to do where there is none', async (t) => {
    const data = await temporaryFolder(t);
    const run = (...args: readonly string[]) => ollamaGuard([...args, '--data', data]);
    const nobody = { code: 0, out: '', err: 'There is no user yet. Add one: ollama-guard user add NAME\n' };
    assert.deepEqual(await run('user', 'list'), nobody);
    assert.deepEqual(await run('key', 'list'), nobody);
    assert.deepEqual(await run('user', 'list', '--json'), { code: 0, out: '[]\n', err: '' });
    await run('user', 'add', 'alice', '--no-password');
    const noKey = 'There is no API key yet. Make one: ollama-guard key add';
    assert.equal((await run('key', 'list', 'alice')).err, `${noKey} alice\n`);
    await run('user', 'add', 'bob', '--no-password');
    assert.equal((await run('key', 'list')).err, `${noKey} NAME\n`);

    for (const flags of [['--label', 'old', '--expires', '1d'], ['--label', 'new', '--expires', '30d'], []]) {
      await run('key', 'add', 'alice', ...flags);
    }
    const file = join(data, 'users.json');
    await writeFile(
      file,
      (await readFile(file, 'utf8')).replace(/"expiresAt": ?"[^"]+"/, '"expiresAt":"2026-11-30T11:04:05.000Z"'),
    );
    assert.match(
      (await run('key', 'list')).out,
      /^\w+\talice\told\texpired 2026-11-30 11:04 UTC\n\w+\talice\tnew\texpires [\d-]+ [\d:]+ UTC\n\w+\talice\t\tnever expires\n$/,
    );
  });

  it('takes a hash of htpasswd or Caddy', async (t) => {
    const data = await temporaryFolder(t);
    const hash = bcrypt.hashSync('secret', 4).replace('$2b$', '$2y$');
    assert.equal((await ollamaGuard(['user', 'add', 'alice', '--hash-stdin', '--data', data], `${hash}\n`)).code, 0);
    const bad = await ollamaGuard(['user', 'add', 'bob', '--hash-stdin', '--data', data], 'no hash');
    assert.equal(bad.code, 1);
    assert.match(bad.err, /no bcrypt hash/);
  });

  it('prints a curl command that asks for the password', async (t) => {
    const data = await temporaryFolder(t);
    assert.equal((await ollamaGuard(['curl', '--data', data])).code, 2);
    await ollamaGuard(['user', 'add', 'alice', '--data', data]);
    assert.equal((await ollamaGuard(['curl', '--data', data])).out, 'curl -u alice http://127.0.0.1:11435/api/tags\n');
    await ollamaGuard(['user', 'add', 'bob', '--data', data]);
    const several = await ollamaGuard(['curl', '--data', data]);
    assert.equal(several.code, 2);
    assert.match(several.err, /alice, bob/);
    const curl = (name: string) => ollamaGuard(['curl', name, '--data', data]);
    const bob = await curl('bob');
    assert.match(bob.out, /-u bob /);
    assert.doesNotMatch(bob.err, /bob/);

    await ollamaGuard(['user', 'add', 'ci', '--no-password', '--data', data]);
    const byKey = 'ci has no password: an API key is what curl asks for. Make one: ollama-guard key add ci\n';
    assert.ok((await curl('ci')).err.endsWith(byKey));
    await ollamaGuard(['user', 'disable', 'ci', '--data', data]);
    assert.ok(
      (await curl('ci')).err.endsWith(
        `ci is disabled. The command is answered 401 until you run: ollama-guard user enable ci\n${byKey}`,
      ),
    );
    assert.deepEqual(await ollamaGuard(['key', 'add', 'ci', '--data', data]), {
      code: 1,
      out: '',
      err: 'ollama-guard: ci is disabled. No key lets ci in until you run: ollama-guard user enable ci\n',
    });
  });

  it('loses no change when many processes write at once', async (t) => {
    const data = await temporaryFolder(t);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const hash = bcrypt.hashSync('secret', 4);
    const outcomes = await Promise.all(
      names.map((name) => ollamaGuard(['user', 'add', name, '--hash-stdin', '--data', data], hash)),
    );
    assert.deepEqual(
      outcomes.map(({ code }) => code),
      names.map(() => 0),
    );
    assert.equal(JSON.parse((await ollamaGuard(['user', 'list', '--json', '--data', data])).out).length, names.length);
  });
});

describe('bad input gets one sentence, the right exit code, and loses nothing', () => {
  const cases: readonly { name: string; args: readonly string[]; input?: string; code: number; says: RegExp }[] = [
    { name: 'an unknown flag', args: ['serve', '--nope'], code: 2, says: /unknown option '--nope'/ },
    { name: 'an unknown command', args: ['dance'], code: 2, says: /unknown command.*\n*Run "ollama-guard --help"/ },
    {
      name: 'a command without what it needs',
      args: ['user', 'add'],
      code: 2,
      says: /missing required argument 'name'\n*Run "ollama-guard user add --help"/,
    },
    {
      name: 'a role that is none',
      args: ['user', 'add', 'x', '--role', 'king'],
      code: 2,
      says: /viewer, member, admin/,
    },
    { name: 'a listen address without a port', args: ['serve', '--listen', 'localhost'], code: 2, says: /HOST:PORT/ },
    { name: 'a port that is none', args: ['serve', '--listen', '127.0.0.1:70000'], code: 2, says: /65535/ },
    { name: 'an upstream that is no address', args: ['serve', '--upstream', 'ollama'], code: 2, says: /http:\/\/127/ },
    {
      name: 'an upstream that is the guard',
      args: ['serve', '--upstream', 'http://127.0.0.1:11435'],
      code: 2,
      says: /itself/,
    },
    { name: 'a lifetime that is none', args: ['key', 'add', 'alice', '--expires', 'soon'], code: 2, says: /30d/ },
    { name: 'a user that exists', args: ['user', 'add', 'ALICE'], code: 1, says: /already/ },
    { name: 'a user that does not', args: ['user', 'remove', 'bob'], code: 1, says: /no user "bob"/ },
    {
      name: 'a key that does not exist',
      args: ['key', 'revoke', 'abc'],
      code: 1,
      says: /no API key "abc"\. See: ollama-guard key list/,
    },
    { name: 'a user name with a colon', args: ['user', 'add', 'a:b'], code: 1, says: /letters/ },
    {
      name: 'an empty password',
      args: ['user', 'add', 'bob', '--password-stdin'],
      input: '\n',
      code: 1,
      says: /empty/,
    },
    {
      name: 'a 73-byte password',
      args: ['user', 'add', 'bob', '--password-stdin'],
      input: `${'é'.repeat(36)}x`,
      code: 1,
      says: /73 bytes/,
    },
    {
      name: 'beyond loopback without a user',
      args: ['serve', '--listen', '0.0.0.0:0'],
      code: 1,
      says: /Add a user first/,
    },
    {
      name: 'an address of another computer',
      args: ['serve', '--listen', '192.0.2.1:0'],
      code: 1,
      says: /no address 192/,
    },
  ];
  for (const { name, args, input, code, says } of cases) {
    it(name, async (t) => {
      const data = await temporaryFolder(t);
      const needsUser = name !== 'beyond loopback without a user';
      if (needsUser)
        await ollamaGuard(['user', 'add', 'alice', '--hash-stdin', '--data', data], bcrypt.hashSync('x', 4));
      const before = (await readdir(data)).length > 0 ? await readFile(join(data, 'users.json'), 'utf8') : '';
      const takesData = !/unknown (flag|command)/.test(name);
      const outcome = await ollamaGuard(takesData ? [...args, '--data', data] : args, input);
      assert.equal(outcome.code, code, outcome.err);
      assert.match(outcome.err, says);
      assert.doesNotMatch(outcome.err, stackTrace);
      assert.equal(outcome.out, '');
      if (needsUser) assert.equal(await readFile(join(data, 'users.json'), 'utf8'), before);
    });
  }

  const damaged: readonly (readonly [name: string, text: string, says: RegExp])[] = [
    ['text that is no JSON', '{"version":1,', /damaged/],
    ['a newer version', '{"version":2,"users":[]}', /version 2/],
    ['a user with a field nobody knows', '{"version":1,"users":[{"name":"x","extra":1}]}', /damaged/],
    ['an empty file', '', /damaged/],
  ];
  for (const [name, text, says] of damaged) {
    it(`a damaged users.json: ${name}`, async (t) => {
      const data = await temporaryFolder(t);
      await writeFile(join(data, 'users.json'), text);
      for (const args of [
        ['user', 'add', 'alice'],
        ['user', 'list'],
        ['serve', '--listen', '127.0.0.1:0'],
      ]) {
        const outcome = await ollamaGuard([...args, '--data', data]);
        assert.equal(outcome.code, 1);
        assert.match(outcome.err, says);
        assert.doesNotMatch(outcome.err, stackTrace);
      }
      assert.equal(await readFile(join(data, 'users.json'), 'utf8'), text);
    });
  }

  it('a data folder that is a file, and one that cannot be written', async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'file'), '');
    const inFile = await ollamaGuard(['user', 'add', 'alice', '--data', join(folder, 'file', 'data')]);
    assert.equal(inFile.code, 1);
    assert.match(inFile.err, /cannot be used \(ENOTDIR\)/);

    // Root may write anywhere but where there is no writing at all.
    const closed = process.getuid?.() === 0 ? '/sys/ollama-guard' : join(folder, 'closed', 'data');
    await mkdir(join(folder, 'closed'));
    await chmod(join(folder, 'closed'), 0o500);
    const unwritable = await ollamaGuard(['user', 'add', 'alice', '--data', closed]);
    assert.equal(unwritable.code, 1);
    assert.match(unwritable.err, /cannot be used/);
    assert.doesNotMatch(unwritable.err, stackTrace);
  });
});
