import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { renderUnicodeCompact } from 'uqr';
import { EndpointFile } from '../../src/cli/endpointFile.ts';
import { invite } from '../../src/cli/invite.ts';
import { reachOf } from '../../src/cli/reach.ts';
import { UsersFile } from '../../src/cli/usersFile.ts';
import { pageLink, parseInviteLink } from '../../src/guard/share/inviteLink.ts';
import { without } from '../support/debian.ts';
import { run } from '../support/run.ts';
import { keepRunning, ollamaGuard, temporaryFolder } from './command.ts';

async function serve(t: TestContext, data: string, ...args: readonly string[]): Promise<string> {
  const guard = keepRunning(t, [
    'serve',
    '--listen',
    '127.0.0.1:0',
    '--upstream',
    'http://127.0.0.1:1',
    '--data',
    data,
    ...args,
  ]);
  return guard.line(/^listening on (\S+)$/m);
}

const usersOf = async (data: string) =>
  JSON.parse((await ollamaGuard(['user', 'list', '--json', '--data', data])).out) as {
    readonly name: string;
    readonly role: string;
    readonly keys: number;
    readonly invites: number;
    readonly password: boolean;
  }[];

describe('ollama-guard invite', () => {
  it('makes a user, and a link alone on stdout that gives the key once', { skip: without('curl') }, async (t) => {
    const data = await temporaryFolder(t);
    const url = await serve(t, data, '--tls', 'auto');
    const made = await ollamaGuard(['invite', 'bob', '--expires', '7d', '--data', data]);
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /^https:\S+\/_guard\/join#[\w-]+\n$/);
    const link = parseInviteLink(made.out);
    const ca = await ollamaGuard(['ca', '--data', data]);
    assert.deepEqual(link.addresses, [url]);
    assert.equal(link.user, 'bob');
    assert.equal(ca.err, `SHA-256: ${link.caSha256}\n`);
    assert.match(made.err, /^Invite for bob \(member\)\. It works once, until \d{4}-\d\d-\d\d \d\d:\d\d UTC:$/m);
    const [editor = ''] = /vscode:\/\/ollama-guard\.ollama-guard\/join#\S+/.exec(made.err) ?? [];
    assert.deepEqual(parseInviteLink(editor), link);
    assert.match(made.err, /this computer alone/);
    assert.doesNotMatch(made.err, /[▀▄█]/, 'no picture for a program');

    assert.deepEqual(
      (await usersOf(data)).map(({ name, role, keys, invites, password }) => [name, role, keys, invites, password]),
      [['bob', 'member', 0, 1, false]],
    );
    const stored = await readFile(join(data, 'users.json'), 'utf8');
    assert.ok(!stored.includes(link.code) && !stored.includes(link.code.slice(14)), 'no code is stored');

    const caFile = join(await temporaryFolder(t), 'ca.pem');
    await writeFile(caFile, ca.out);
    const redeem = async () => {
      const body = JSON.stringify({ code: link.code });
      const post = ['-X', 'POST', '-H', 'content-type: application/json', '--data', body, `${url}/_guard/join`];
      return (await run('curl', ['-sS', '--cacert', caFile, ...post])).out;
    };
    let apiKey: string | undefined;
    // The guard learns of the invite within a second.
    while (apiKey === undefined) apiKey = JSON.parse(await redeem()).apiKey;
    assert.match(apiKey, /^og_/);
    assert.doesNotMatch(await redeem(), /og_/);
    const [key] = JSON.parse((await ollamaGuard(['key', 'list', 'bob', '--json', '--data', data])).out);
    assert.equal(Math.round((Date.parse(key.expiresAt) - Date.now()) / 86_400_000), 7);
    assert.deepEqual(
      (await usersOf(data)).map(({ keys, invites }) => [keys, invites]),
      [[1, 0]],
    );
  });

  it('leaves a user as it is who is there, and makes none where it cannot', async (t) => {
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'vera', '--role', 'viewer', '--data', data]);
    await serve(t, data);
    assert.match((await ollamaGuard(['invite', 'vera', '--data', data])).err, /^Invite for vera \(viewer\)/);
    assert.equal((await ollamaGuard(['invite', 'vera', '--role', 'viewer', '--data', data])).code, 0);
    assert.equal((await ollamaGuard(['invite', 'adam', '--role', 'admin', '--data', data])).code, 0);
    const before = await usersOf(data);
    assert.deepEqual(
      before.map(({ name, role, invites, password }) => [name, role, invites, password]),
      [
        ['vera', 'viewer', 2, true],
        ['adam', 'admin', 1, false],
      ],
    );

    const refused: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
      [['vera', '--role', 'admin'], 1, /vera is there as viewer: take another name, or remove the user first\.$/m],
      [['VERA'], 1, /written otherwise/],
      [['a:b'], 1, /letters/],
      [['x', '--role', 'king'], 2, /viewer, member, admin/],
      [['x', '--expires', 'soon'], 2, /30d/],
    ];
    for (const [args, code, says] of refused) {
      const outcome = await ollamaGuard(['invite', ...args, '--data', data]);
      assert.equal(outcome.code, code, outcome.err);
      assert.match(outcome.err, says);
      assert.equal(outcome.out, '');
    }
    assert.deepEqual(await usersOf(data), before);
  });

  it('invites nobody who would not be let in', async (t) => {
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--data', data]);
    await serve(t, data);
    await new UsersFile(data).update((users) => users.map((user) => ({ ...user, disabled: true as const })));
    const outcome = await ollamaGuard(['invite', 'alice', '--data', data]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.err, /alice is disabled/);
  });

  it('lists those that are open, and takes one back', { skip: without('curl') }, async (t) => {
    const data = await temporaryFolder(t);
    const invites = (...args: readonly string[]) => ollamaGuard(['invite', ...args, '--data', data]);
    assert.deepEqual(await invites('--list'), { code: 0, out: '', err: 'There is no open invite.\n' });
    const url = await serve(t, data);
    const { code } = parseInviteLink((await invites('bob')).out);
    await invites('carl');
    const { out } = await invites('--list');
    assert.match(out, /^\w{10}\tbob\tuntil [\d-]+ [\d:]+ UTC\n\w{10}\tcarl\tuntil /);
    const [id = ''] = out.split('\t');
    assert.ok(!out.includes(code), 'what is listed lets nobody in');

    const revoked = { code: 0, out: '', err: `Revoked invite ${id}. Its link does not work any more.\n` };
    assert.deepEqual(await invites('--revoke', id), revoked);
    assert.match((await invites('--list')).out, /^\w{10}\tcarl\t[^\n]*\n$/);
    const body = JSON.stringify({ code });
    const type = 'content-type: application/json';
    const used = await run('curl', ['-s', '-w', '%{http_code}', '-H', type, '-d', body, `${url}/_guard/join`]);
    assert.match(used.out, /40\d$/);
    assert.deepEqual(
      (await usersOf(data)).map(({ keys }) => keys),
      [0, 0],
    );

    for (const args of [[], ['bob', '--list'], ['--list', '--revoke', id], ['--revoke', 'nonsense']]) {
      const outcome = await invites(...args);
      assert.notEqual(outcome.code, 0, args.join(' '));
      assert.equal(outcome.out, '');
      assert.match(outcome.err, /^(ollama-guard|error): \S.*\n/, args.join(' '));
    }
  });

  it('needs a guard that runs', async (t) => {
    const data = await temporaryFolder(t);
    const says = 'ollama-guard: Start the guard first: ollama-guard serve\n';
    assert.deepEqual(await ollamaGuard(['invite', 'bob', '--data', data]), { code: 1, out: '', err: says });
    const guard = keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--data', data]);
    await guard.line(/^listening/m);
    // One that was killed leaves its file behind.
    await guard.end('SIGKILL');
    assert.ok(await new EndpointFile(data).read());
    assert.deepEqual(await ollamaGuard(['invite', 'bob', '--data', data]), { code: 1, out: '', err: says });
    assert.deepEqual(await usersOf(data), []);
  });

  it('beyond loopback: holds every address, and shows a QR code where it fits', async (t) => {
    const data = await temporaryFolder(t);
    const endpoint = { url: 'https://0.0.0.0:443', pid: process.pid, names: ['gpu.example.org'], namesAlone: false };
    const make = async (columns: number | undefined) => {
      const printed = { out: '', err: '' };
      const terminal = {
        out: (line: string) => {
          printed.out += `${line}\n`;
        },
        say: (line: string) => {
          printed.err += `${line}\n`;
        },
        columns,
        readInput: async () => '',
      };
      await invite({ file: new UsersFile(data), terminal }, { name: 'bob' }, endpoint);
      return printed;
    };
    const wide = await make(200);
    const link = parseInviteLink(wide.out);
    assert.equal(link.addresses[0], 'https://gpu.example.org', 'the usual port is not written');
    assert.deepEqual(
      link.addresses,
      reachOf(endpoint).map(({ url }) => url),
    );
    assert.doesNotMatch(wide.err, /this computer alone/);
    assert.ok(wide.err.includes(renderUnicodeCompact(pageLink({ ...link, addresses: link.addresses.slice(0, 2) }))));
    for (const columns of [20, undefined]) assert.doesNotMatch((await make(columns)).err, /[▀▄█]/);
    assert.deepEqual(
      reachOf({ ...endpoint, namesAlone: true }).map(({ url }) => url),
      ['https://gpu.example.org'],
    );
  });
});
