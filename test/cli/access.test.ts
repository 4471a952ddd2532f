import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ollamaGuard, temporaryFolder } from './command.ts';

const moment = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d UTC`;

/** A command on a data folder of its own. */
function commandOn(data: string) {
  return (...args: readonly string[]) => ollamaGuard([...args, '--data', data]);
}

async function withTeam(data: string) {
  const run = commandOn(data);
  await run('user', 'add', 'alice', '--no-password');
  return run;
}

describe('ollama-guard user add, set and list', () => {
  it('gives a new user everything at once', async (t) => {
    const run = commandOn(await temporaryFolder(t));
    const added = await run(
      ...['user', 'add', 'alice', '--role', 'admin', '--models', 'llama3*, qwen*', '--deny-models', 'secret*'],
      ...['--expires', '7d', '--rpm', '30', '--tokens-per-minute', '2000', '--tokens-per-day', '90000'],
      ...['--concurrent', '1'],
    );
    assert.equal(added.code, 0, added.err);
    assert.match(added.out, /^[A-Za-z0-9-]{25}\n$/);
    const [user] = JSON.parse((await run('user', 'list', '--json')).out);
    const { createdAt, expiresAt, ...rest } = user;
    assert.deepEqual(rest, {
      name: 'alice',
      role: 'admin',
      password: true,
      keys: 0,
      publicKeys: 0,
      invites: 0,
      disabled: false,
      models: { allow: ['llama3*', 'qwen*'], deny: ['secret*'] },
      limits: { requestsPerMinute: 30, tokensPerMinute: 2000, tokensPerDay: 90000, concurrentRequests: 1 },
    });
    assert.equal(Math.round((Date.parse(expiresAt) - Date.parse(createdAt)) / 86_400_000), 7);
    assert.match(
      (await run('user', 'list')).out,
      new RegExp(
        `^alice\tadmin\t0 API keys\tmodels llama3\\*, qwen\\*\tnot secret\\*\t30 requests a minute\t2000 tokens a minute\t90000 tokens a day\t1 request at once\texpires ${moment}\n$`,
      ),
    );
  });

  it('adds a user without a password, who is one line with three columns', async (t) => {
    const run = commandOn(await temporaryFolder(t));
    const added = await run('user', 'add', 'bob', '--no-password');
    assert.deepEqual(added, {
      code: 0,
      out: '',
      err: 'Added bob as member.\nGive it an API key: ollama-guard key add bob\n',
    });
    assert.equal((await run('user', 'list')).out, 'bob\tmember\t0 API keys\n');
    assert.equal(JSON.parse((await run('user', 'list', '--json')).out)[0].password, false);
  });

  it('changes what is said, leaves the rest, and tells what the user now has', async (t) => {
    const data = await temporaryFolder(t);
    const run = await withTeam(data);
    const record = async () => JSON.parse(await readFile(join(data, 'users.json'), 'utf8')).users[0];
    const before = await record();
    const said = async (...flags: readonly string[]) => {
      const { code, out, err } = await run('user', 'set', 'alice', ...flags);
      assert.deepEqual([code, out], [0, ''], err);
      return err;
    };
    assert.equal(await said('--role', 'viewer'), 'alice is viewer.\n');
    assert.equal(
      await said('--rpm', '5', '--models', 'qwen*'),
      'alice is viewer; models qwen*; 5 requests a minute.\n',
    );
    assert.equal(
      await said(
        '--deny-models',
        'qwen:70b',
        '--tokens-per-minute',
        '7',
        '--tokens-per-day',
        '999999999999999',
        '--concurrent',
        '9',
      ),
      'alice is viewer; models qwen*; not qwen:70b; 5 requests a minute; 7 tokens a minute; 999999999999999 tokens a day; 9 requests at once.\n',
    );
    assert.match(await said('--expires', '12h'), new RegExp(`9 requests at once; expires ${moment}\\.\n$`));
    assert.equal(
      await said('--no-expiry', '--all-models', '--rpm', 'none', '--tokens-per-minute', 'none', '--concurrent', 'none'),
      'alice is viewer; 999999999999999 tokens a day.\n',
    );
    await run('user', 'disable', 'alice');
    assert.equal(await said('--tokens-per-day', 'none'), 'alice is viewer; disabled.\n');
    await run('user', 'enable', 'alice');
    await said('--role', 'member');
    assert.deepEqual(await record(), before, 'nothing is left of what was taken away');
  });

  it('knows the roles of policy.json, for users and for invites', async (t) => {
    const data = await temporaryFolder(t);
    const run = await withTeam(data);
    const unknown = 'ollama-guard: There is no role "ci-bots". Those there are: viewer, member, admin, owner';
    for (const args of [
      ['user', 'add', 'bob', '--role', 'ci-bots'],
      ['user', 'set', 'alice', '--role', 'ci-bots'],
      ['invite', 'bob', '--role', 'ci-bots'],
      ['user', 'pubkeys', 'import', '-', '--role', 'ci-bots'],
    ]) {
      assert.deepEqual(await run(...args), { code: 2, out: '', err: `${unknown}.\n` });
    }
    await writeFile(join(data, 'policy.json'), '{"roles":{"ci-bots":{"can":["infer"]}}}');
    assert.equal((await run('user', 'set', 'alice', '--role', 'ci-bots')).err, 'alice is ci-bots.\n');
    assert.match(
      (await run('user', 'set', 'alice', '--role', 'king')).err,
      /viewer, member, admin, owner, ci-bots\.$/m,
    );

    await writeFile(join(data, 'policy.json'), '{"roles":');
    const damaged = await run('user', 'add', 'bob', '--role', 'ci-bots');
    assert.equal(damaged.code, 1);
    assert.match(damaged.err, /policy\.json, line 1, column 10: A value is expected here\.$/m);
    assert.equal((await run('user', 'add', 'bob', '--role', 'admin')).code, 0, 'this one is there anyway');
  });
});

describe('ollama-guard user disable and enable', () => {
  it('switches a user off and on, and keeps everything', async (t) => {
    const data = await temporaryFolder(t);
    const run = await withTeam(data);
    await run('key', 'add', 'alice');
    const before = await readFile(join(data, 'users.json'), 'utf8');
    assert.equal((await run('user', 'disable', 'alice')).err, 'Disabled alice.\n');
    assert.equal((await run('user', 'list')).out, 'alice\tmember\t1 API key\tdisabled\n');
    assert.equal(JSON.parse((await run('user', 'list', '--json')).out)[0].disabled, true);
    assert.equal((await run('user', 'disable', 'alice')).code, 0, 'twice is once');
    assert.equal((await run('user', 'enable', 'alice')).err, 'Enabled alice.\n');
    assert.equal((await run('user', 'enable', 'alice')).code, 0);
    assert.equal(await readFile(join(data, 'users.json'), 'utf8'), before);
  });

  it('disables a name that comes by JSON Web Token alone', async (t) => {
    const data = await temporaryFolder(t);
    const run = await withTeam(data);
    const nobody = { code: 1, out: '', err: 'ollama-guard: There is no user "zoe". See: ollama-guard user list\n' };
    assert.deepEqual(await run('user', 'disable', 'zoe'), nobody);
    await writeFile(
      join(data, 'policy.json'),
      '{"issuers":[{"issuer":"https://login.example.org","audience":["gpu"],"defaultRole":"member"}]}',
    );
    assert.deepEqual(await run('user', 'disable', 'zoe'), {
      code: 0,
      out: '',
      err: 'Disabled the name zoe: it was in no list of users, and no token of that name is let in from now on.\n',
    });
    const users = JSON.parse((await run('user', 'list', '--json')).out);
    assert.deepEqual(
      users.map(({ name, password, keys, publicKeys, disabled }: Record<string, unknown>) => [
        name,
        password,
        keys,
        publicKeys,
        disabled,
      ]),
      [
        ['alice', false, 0, 0, false],
        ['zoe', false, 0, 0, true],
      ],
    );
    assert.deepEqual(await run('user', 'enable', 'bob'), {
      ...nobody,
      err: 'ollama-guard: There is no user "bob". See: ollama-guard user list\n',
    });
    assert.equal((await run('user', 'disable', 'ALICE')).code, 1, 'a name that is there, written otherwise');
    assert.match((await run('user', 'disable', 'a b')).err, /A user name is/);
  });
});

describe('flags that make no sense get one sentence and change nothing', () => {
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['set', 'alice'], 2, /Say what to change: --role, --models, .* or --concurrent\.$/m],
    [['set', 'bob', '--rpm', '3'], 1, /There is no user "bob"\./],
    [['set', 'alice', '--rpm', '0'], 2, /whole number above 0/],
    [['set', 'alice', '--rpm', '1.5'], 2, /whole number above 0/],
    [['set', 'alice', '--tokens-per-day', '1000000000000000'], 2, /whole number above 0, of up to 15 digits/],
    [['add', 'bob', '--rpm', 'none'], 2, /whole number above 0/],
    [['set', 'alice', '--models', ''], 2, /names of models/],
    [['set', 'alice', '--models', 'a,,b'], 2, /names of models/],
    [['set', 'alice', '--models', 'none'], 2, /No model is called none\. To take the list away: --all-models/],
    [['set', 'alice', '--deny-models', 'none'], 2, /To take the list away: --all-models/],
    [['set', 'alice', '--deny-models', 'a b'], 2, /names of models/],
    [['set', 'alice', '--expires', 'soon'], 2, /12h, 30d or 2w/],
    [['set', 'alice', '--expires', '1d', '--no-expiry'], 2, /cannot be used with/],
    [['set', 'alice', '--models', 'a', '--all-models'], 2, /cannot be used with/],
    [['add', 'bob', '--no-password', '--password-stdin'], 2, /cannot be used with/],
    [['add', 'bob', '--no-password', '--hash-stdin'], 2, /cannot be used with/],
    [['set', 'alice', '--role', 'King!'], 2, /There is no role "King!"/],
  ];
  it('says in its help what each takes away', async () => {
    const { out } = await ollamaGuard(['user', 'set', '--help']);
    assert.match(out.replace(/\s+/g, ' '), /--all-models takes back what --models and --deny-models gave/);
    assert.match(
      (await ollamaGuard(['user', 'pubkey', '--help'])).out,
      /<name> \(<file> \| --list \| --remove <id>\)\n/,
    );
  });

  for (const [args, code, says] of cases) {
    it(args.join(' '), async (t) => {
      const data = await temporaryFolder(t);
      const run = await withTeam(data);
      const before = await readFile(join(data, 'users.json'), 'utf8');
      const outcome = await run('user', ...args);
      assert.equal(outcome.code, code, outcome.err);
      assert.match(outcome.err, says);
      assert.doesNotMatch(outcome.err, /\n\s+at /);
      assert.equal(outcome.out, '');
      assert.equal(await readFile(join(data, 'users.json'), 'utf8'), before);
    });
  }
});
