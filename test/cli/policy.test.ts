import assert from 'node:assert/strict';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { keepRunning, ollamaGuard, temporaryFolder } from './command.ts';

/** A data folder with a policy, and commands on it. */
async function withPolicy(t: TestContext, policy?: unknown) {
  const data = await temporaryFolder(t);
  const path = join(data, 'policy.json');
  const write = (written: unknown) =>
    writeFile(path, typeof written === 'string' ? written : JSON.stringify(written, undefined, 2));
  if (policy !== undefined) await write(policy);
  const run = (...args: readonly string[]) => ollamaGuard([...args, '--data', data]);
  return { data, path, write, run };
}

const builtIn = [
  'viewer\tread',
  'member\tread, infer\tkeepAlive min 1m, max 1h',
  'admin\tread, infer, manage\tuploadBytes 64 GiB',
  'owner\tread, infer, manage\tmodels of ollama.com\tuploadBytes 64 GiB\tpriority 10',
];
const defaultQueue = 'queue: 4 at once, 256 waiting, 10m at most';

describe('ollama-guard policy', () => {
  it('without a file shows the roles that are there anyway', async (t) => {
    const { data, path, run } = await withPolicy(t);
    assert.deepEqual(await run('policy', 'check'), {
      code: 0,
      out: `${[...builtIn, defaultQueue].join('\n')}\n`,
      err: `There is no ${path}, and the defaults hold.\n`,
    });
    const shown = JSON.parse((await run('policy', 'show')).out);
    assert.deepEqual(Object.keys(shown.roles), ['viewer', 'member', 'admin', 'owner']);
    assert.equal(shown.roles.admin.clamps.uploadBytes, 68_719_476_736);
    assert.deepEqual(shown.queue, { concurrency: 4, length: 256, maxWait: '10m' });
    assert.deepEqual(await readdir(data), []);
  });

  it('shows what a policy makes of the roles, and names roles that are missing', async (t) => {
    const { path, run } = await withPolicy(t, {
      roles: {
        member: { models: { deny: ['*:70b'] }, clamps: { contextTokens: 16384, options: ['top_p', 'seed'] } },
        'ci-bots': {
          can: ['infer'],
          models: { allow: ['qwen*'] },
          limits: { requestsPerMinute: 30 },
          limitsPerKey: { tokensPerDay: 1 },
          priority: -10,
          weight: 2,
        },
      },
      queue: { concurrency: 2, length: 100, maxWait: '90s' },
      issuers: [
        {
          issuer: 'https://login.example.org',
          audience: ['gpu'],
          claims: { role: 'groups' },
          roles: { a: 'member', b: 'ci-robots' },
        },
        { issuer: 'https://other.example.org', audience: ['a', 'b'], defaultRole: 'viewer' },
      ],
    });
    await run('user', 'add', 'alice', '--role', 'ci-bots', '--no-password');
    const checked = await run('policy', 'check');
    assert.equal(checked.code, 0, checked.err);
    assert.equal(
      checked.out,
      [
        builtIn[0],
        'member\tread, infer\tnot *:70b\tkeepAlive min 1m, max 1h\tcontextTokens 16384\toptions top_p, seed',
        ...builtIn.slice(2),
        'ci-bots\tinfer\tmodels qwen*\tkeepAlive min 1m, max 1h\t30 requests a minute\t1 token a day per key\tpriority -10\tweight 2',
        'queue: 2 at once, 100 waiting, 90s at most',
        'issuer https://login.example.org: audience gpu, roles a = member, b = ci-robots',
        'issuer https://other.example.org: audience a, b, roles otherwise viewer',
        '',
      ].join('\n'),
    );
    const missing =
      'There is no role ci-robots, and so whoever has it from https://login.example.org may do nothing.\n';
    assert.equal(checked.err, `${path} is valid.\n${missing}`);
    const shown = (await run('policy', 'show')).out;
    const { roles, issuers } = JSON.parse(shown);
    assert.deepEqual(roles['ci-bots'].registries, ['registry.ollama.ai']);
    assert.equal(issuers[0].issuer, 'https://login.example.org');

    const again = await withPolicy(t, shown);
    assert.equal((await again.run('policy', 'check')).out, checked.out, 'what is shown is a policy itself');
    assert.equal((await again.run('policy', 'show')).out, shown);

    const other = join(await temporaryFolder(t), 'other.json');
    await writeFile(other, '{}');
    assert.equal(
      (await run('policy', 'check', other)).err,
      `${other} is valid.\nThere is no role ci-bots, and so alice may do nothing.\n`,
    );
    const nothing = await run('policy', 'check', `${other}x`);
    assert.deepEqual(nothing, { code: 2, out: '', err: `ollama-guard: There is no ${other}x.\n` });
  });

  const invalid: readonly (readonly [text: string, says: string])[] = [
    [
      '{\n  // mine\n  "roles": {}}',
      'line 2, column 3: A name in double quotes is expected here (comments cannot be in it).',
    ],
    ['{"roles": {},\n}', 'line 2, column 1: A name in double quotes is expected here, after a comma.'],
    ['{\n  "roles": {\n', 'line 3, column 1: A name in double quotes is expected here.'],
    [
      '{"roles": {\n  "member": {"limits": {"rpm": 3}}}}',
      'line 2, column 25: roles.member.limits.rpm: is not known here.',
    ],
  ];
  for (const [text, says] of invalid) {
    it(`refuses one that is not valid, and so does serve: ${says}`, async (t) => {
      const { path, run } = await withPolicy(t, text);
      await run('user', 'add', 'alice', '--no-password');
      const refused = { code: 1, out: '', err: `ollama-guard: ${path}, ${says}\n` };
      assert.deepEqual(await run('policy', 'check'), refused);
      assert.deepEqual(await run('policy', 'show'), refused);
      assert.deepEqual(await run('explain', 'alice', 'GET', '/api/tags'), refused);
      assert.deepEqual(await run('serve', '--listen', '127.0.0.1:0'), refused);
    });
  }

  it('says in its help what show prints', async () => {
    const { out } = await ollamaGuard(['policy', 'show', '--help']);
    assert.match(
      out.replace(/\s+/g, ' '),
      /print what policy\.json comes to, .* a running guard keeps the last one that/,
    );
  });

  it('refuses a file that cannot be read', async (t) => {
    const { data, run } = await withPolicy(t);
    const outcome = await run('policy', 'check', data);
    assert.deepEqual(outcome, { code: 2, out: '', err: `ollama-guard: ${data} cannot be read (EISDIR).\n` });
  });
});

describe('ollama-guard explain', () => {
  it('says yes or no, the words of the refusal, and the rule that decided last', async (t) => {
    const { run } = await withPolicy(t, { roles: { member: { models: { deny: ['secret*'] } } } });
    await run('user', 'add', 'alice', '--no-password');
    const yes = await run('explain', 'alice', 'post', '/api/chat', 'llama3');
    assert.deepEqual([yes.code, yes.err], [0, '']);
    assert.match(yes.out, /^yes\nusers\.alice\.role: member\n(?:.+\n)*roles\.member\.models\.allow: \*\n$/);

    const no = await run('explain', 'alice', 'POST', '/api/chat', 'secret-plans');
    assert.deepEqual([no.code, no.err], [1, '']);
    assert.match(
      no.out,
      /^no\n403 You may not use this model here\. Ask the owner of this endpoint\.\nusers\.alice\.role: member\n/,
    );
    assert.match(no.out, /\nroles\.member\.models\.deny: secret\*\n$/);

    const json = await run('explain', 'alice', 'DELETE', '/api/delete', 'llama3', '--json');
    assert.equal(json.code, 1);
    const { allowed, refusal, status, message, rules } = JSON.parse(json.out);
    assert.deepEqual([allowed, refusal, status], [false, 'not-permitted', 403]);
    assert.match(message, /Your role does not permit this/);
    assert.deepEqual(rules.at(-1), { place: 'roles.member.can', says: 'read, infer' });
    assert.deepEqual(Object.keys(JSON.parse((await run('explain', 'alice', 'GET', '/', '--json')).out)), [
      'allowed',
      'rules',
    ]);

    await run('user', 'disable', 'alice');
    assert.match(
      (await run('explain', 'alice', 'GET', '/api/tags')).out,
      /^no: alice is disabled\.\n401 .*\nusers\.alice\.disabled: true\n$/,
    );
    assert.deepEqual(await run('explain', 'bob', 'GET', '/api/tags'), {
      code: 1,
      out: 'no\n401 Sign in with a user name and password, or with an API key as a Bearer token.\nusers.bob: no such user\n',
      err: 'There is no user bob. For somebody who signs in by token, name a role with --role ROLE.\n',
    });
    const health = await run('explain', 'bob', 'GET', '/_guard/health');
    assert.deepEqual([health.code, health.err], [0, '']);
    assert.equal((await run('explain', 'alice', 'GET')).code, 2);
    for (const words of [
      ['POST', 'api/chat', 'demo'],
      ['/api/chat', 'demo'],
    ]) {
      assert.deepEqual(await run('explain', 'alice', ...words), {
        code: 2,
        out: '',
        err: 'ollama-guard: A path begins with /, as in: ollama-guard explain alice POST /api/chat llama3.2\n',
      });
    }
  });
});

describe('ollama-guard and somebody whose access has ended', () => {
  it('says so first, and what lets them in again', async (t) => {
    const { data, run } = await withPolicy(t);
    await run('user', 'add', 'alice', '--no-password', '--expires', '1d');
    const file = join(data, 'users.json');
    await writeFile(
      file,
      (await readFile(file, 'utf8')).replace(/"expiresAt": ?"[^"]+"/, '"expiresAt":"2026-11-30T11:04:05.000Z"'),
    );
    const ended = "alice's access ended 2026-11-30 11:04 UTC.";
    const { out } = await run('explain', 'alice', 'GET', '/api/tags');
    assert.equal(out.split('\n')[0], `no: ${ended}`);
    assert.deepEqual(await run('key', 'add', 'alice'), {
      code: 1,
      out: '',
      err: `ollama-guard: ${ended} No key lets alice in until you run: ollama-guard user set alice --no-expiry\n`,
    });
    assert.equal((await run('key', 'list', 'alice')).out, '');
    const curl = await run('curl', 'alice');
    assert.ok(
      curl.err.includes(
        `${ended} The command is answered 401 until you run: ollama-guard user set alice --no-expiry\n`,
      ),
    );
  });
});

describe('ollama-guard explain --role', () => {
  it('explains somebody who signs in by token, whom only a user who is switched off can bar', async (t) => {
    const { run } = await withPolicy(t);
    const yes = await run('explain', 'bob', 'POST', '/api/chat', 'llama3', '--role', 'member');
    assert.deepEqual([yes.code, yes.err], [0, '']);
    assert.match(yes.out, /^yes\ntokens\.bob\.role: member\n/);
    const no = await run('explain', 'bob', 'GET', '/api/tags', '--role', 'gone');
    assert.deepEqual([no.code, no.err], [1, '']);
    assert.match(no.out, /\nroles\.gone: no such role\n$/);
    await run('user', 'add', 'bob', '--no-password');
    await run('user', 'disable', 'bob');
    const barred = await run('explain', 'bob', 'GET', '/api/tags', '--role', 'admin');
    assert.deepEqual([barred.code, barred.err], [1, '']);
    assert.match(barred.out, /^no: bob is disabled\.\n.*\nusers\.bob\.disabled: true\n$/);
  });
});

describe('ollama-guard serve', () => {
  it('takes a policy that changes within a second, and keeps the last good one', async (t) => {
    const demo = await startDemoOllama();
    t.after(() => demo.stop());
    const { data, path, write, run } = await withPolicy(t, { roles: { member: { can: ['read'] } } });
    await run('user', 'add', 'alice', '--no-password');
    const authorization = `Bearer ${(await run('key', 'add', 'alice')).out.trim()}`;
    const guard = keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data]);
    const url = await guard.line(/^listening on (\S+)$/m);
    const said = async (text: string) => {
      while (!guard.printed.err.includes(text)) await new Promise((resolve) => setTimeout(resolve, 25));
      return guard.printed.err.split('\n').filter((line) => line.includes('olicy'));
    };
    const embed = async () => {
      const body = JSON.stringify({ model: 'demo', input: 'x' });
      return (await fetch(`${url}/api/embed`, { method: 'POST', headers: { authorization }, body })).status;
    };
    const until = async (status: number) => {
      while ((await embed()) !== status) await new Promise((resolve) => setTimeout(resolve, 25));
    };
    assert.equal(await embed(), 403, 'from the start');

    await write({ roles: { member: { can: ['read', 'infer'] } } });
    await until(200);
    await said('has changed');

    await write('{"roles":\n{"member":{"can":"nothing"}}}');
    const lines = await said('The policy stays as it was.');
    const withoutTimes = lines.map((line) => line.replace(/^\d{4}-\S+Z /, ''));
    assert.ok(
      lines.every((line, i) => line !== withoutTimes[i]),
      'each with its time',
    );
    assert.deepEqual(withoutTimes, [
      `The policy in ${path} has changed, and holds from now on.`,
      `${path}, line 2, column 12: roles.member.can: must be a list in [ ]. The policy stays as it was.`,
    ]);
    assert.equal(await embed(), 200);

    // As an editor saves.
    await writeFile(join(data, 'policy.json.new'), '{"roles":{"member":{"can":["read"]}}}');
    await rename(join(data, 'policy.json.new'), path);
    await until(403);

    await rm(path);
    await until(200);
    await said(`${path} is gone. The default policy holds from now on.`);
    assert.equal(await guard.end('SIGTERM'), 0);
  });
});
