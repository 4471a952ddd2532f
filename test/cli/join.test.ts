import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { User } from '../../src/guard/identity/users.ts';
import { type Invite, pageLink } from '../../src/guard/share/inviteLink.ts';
import { createMemoryVault } from '../../src/guard/tls/vault.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { invited } from '../support/invites.ts';
import { team } from '../support/people.ts';
import { keepRunning, ollamaGuard, type Running, temporaryFolder } from './command.ts';

const listening = /^listening on (http:\/\/127\.0\.0\.1:\d+)$/m;
const anyPort = ['--listen', '127.0.0.1:0'];
const vault = createMemoryVault();

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** An endpoint that mia is invited to, and the link. */
async function endpoint(
  t: TestContext,
  { tls = 'auto', port = 0, users = team.users }: { tls?: 'auto' | 'off'; port?: number; users?: readonly User[] } = {},
): Promise<{ readonly guard: TestGuard; readonly link: string; readonly code: string }> {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [{ name: 'demo' }] }));
  const invitation = invited(users, 'mia');
  const config = { tls: { mode: tls }, port };
  const guard = await startGuard(t, upstream, { users: invitation.users, vault, config });
  const caSha256 = guard.guard.tls?.anchor?.sha256;
  const { code } = invitation;
  const invite: Invite = { addresses: [guard.guard.url], code, user: 'mia', ...(caSha256 && { caSha256 }) };
  return { guard, link: pageLink(invite), code };
}

async function answers(url: string): Promise<string> {
  return (await fetch(`${url}/api/tags`)).text();
}

function said({ printed }: Running): string {
  return printed.err;
}

describe('ollama-guard join', () => {
  it('opens the endpoint of an invite, keeps it, and opens it again at the same port without the invite', async (t) => {
    const data = await temporaryFolder(t);
    const { guard, link, code } = await endpoint(t);
    const joining = keepRunning(t, ['join', link, ...anyPort, '--data', data]);
    const url = await joining.line(listening);
    assert.match(await answers(url), /"demo"/);
    await until(() => said(joining).includes('ollama list'));
    assert.ok(said(joining).includes(`This is the Ollama at 127.0.0.1:${guard.port}, where you are mia.`));
    assert.doesNotMatch(said(joining), /encrypted/);
    assert.equal(await joining.end('SIGINT'), 0);

    const file = join(data, 'joined.json');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const stored = await readFile(file, 'utf8');
    const key = /og_\w{10}_[\w-]{43}/.exec(stored)?.[0] ?? '';
    const everything = JSON.stringify(joining.printed);
    for (const secret of [code, key, key.slice(14)]) assert.ok(secret !== '' && !everything.includes(secret));

    for (const args of [['join'], ['join', link]]) {
      const again = keepRunning(t, [...args, '--data', data]);
      assert.equal(await again.line(listening), url);
      assert.match(await answers(url), /"demo"/);
      assert.equal(await again.end('SIGTERM'), 0);
    }
    assert.equal(await readFile(file, 'utf8'), stored);
    assert.equal(guard.events.filter(({ type }) => type === 'invite-redeemed').length, 1);

    const listed = await ollamaGuard(['join', '--list', '--data', data]);
    assert.equal(listed.out, `${code.slice(3, 13)}\tmia\t${guard.guard.url}\t${url}\n`);
  });

  it('takes the link from standard input', async (t) => {
    const data = await temporaryFolder(t);
    const { link } = await endpoint(t);
    const joining = keepRunning(t, ['join', '-', ...anyPort, '--data', data], `${link}\n`);
    assert.match(await answers(await joining.line(listening)), /"demo"/);
  });

  it('says that nothing is encrypted, where nothing is', async (t) => {
    const data = await temporaryFolder(t);
    const { guard, link } = await endpoint(t, { tls: 'off' });
    const joining = keepRunning(t, ['join', link, ...anyPort, '--data', data]);
    await joining.line(listening);
    await until(() => said(joining).includes('ollama list'));
    assert.equal(await joining.end('SIGINT'), 0);
    assert.doesNotMatch(said(joining), /encrypted/, 'nobody is on the way to this computer itself');

    const file = join(data, 'joined.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace(guard.guard.url, 'http://gpu.invalid:11435'));
    const elsewhere = keepRunning(t, ['join', '--data', data]);
    await elsewhere.line(listening);
    await until(() => said(elsewhere).includes('Nothing is encrypted'));
  });

  it('gives each endpoint a port of its own, and opens all of them', async (t) => {
    const data = await temporaryFolder(t);
    const urls: string[] = [];
    for (let i = 0; i < 2; i++) {
      const { link } = await endpoint(t);
      const joining = keepRunning(t, ['join', link, '--data', data]);
      urls.push(await joining.line(listening));
      await joining.end('SIGINT');
    }
    const [first = '', second = ''] = urls;
    const port = (url: string) => Number(new URL(url).port);
    assert.ok(port(first) >= 11_436 && port(second) > port(first), urls.join());
    const all = keepRunning(t, ['join', '--data', data]);
    await until(() => urls.every((url) => all.printed.out.includes(`listening on ${url}\n`)));
    for (const url of urls) assert.match(await answers(url), /"demo"/);
    const several = await ollamaGuard(['leave', 'mia', '--data', data]);
    assert.equal(several.code, 2);
    assert.match(several.err, /several/);
  });

  it('says once that the endpoint is gone, and once that it is there again', async (t) => {
    const { guard, link } = await endpoint(t);
    const joining = keepRunning(t, ['join', link, ...anyPort, '--data', await temporaryFolder(t)]);
    const url = await joining.line(listening);
    await guard.guard.stop(0);
    for (let i = 0; i < 3; i++) assert.match(await answers(url), /not sharing right now/);
    await until(() => /is not sharing right now/.test(said(joining)));
    await endpoint(t, { port: guard.port });
    await until(() => /It is there again/.test(said(joining)));
    assert.equal(said(joining).match(/is not sharing right now/g)?.length, 1);
    assert.equal(await joining.end('SIGINT'), 0);
  });

  it('uses no invite up while what comes of it cannot be kept, and leaves a damaged file alone', async (t) => {
    const data = await temporaryFolder(t);
    await writeFile(join(data, 'joined.json'), 'oh no');
    const { guard, link } = await endpoint(t);
    const outcome = await ollamaGuard(['join', link, '--data', data]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.err, /joined\.json is damaged/);
    assert.equal((await ollamaGuard(['leave', 'mia', '--data', data])).code, 1);
    assert.equal(await readFile(join(data, 'joined.json'), 'utf8'), 'oh no');
    assert.deepEqual(guard.events, []);
  });

  it('opens nothing beyond this computer', async (t) => {
    const data = await temporaryFolder(t);
    const { guard, link } = await endpoint(t);
    for (const listen of ['0.0.0.0:0', '192.168.1.5:11436', '[::]:0']) {
      const outcome = await ollamaGuard(['join', link, '--listen', listen, '--data', data]);
      assert.equal(outcome.code, 2, listen);
      assert.match(outcome.err, /on this computer alone/);
    }
    assert.deepEqual(guard.events, []);
  });

  it('says what is wrong, and shows no link', async (t) => {
    const data = await temporaryFolder(t);
    assert.equal((await ollamaGuard(['join', '--data', data])).code, 2);
    const { guard, link } = await endpoint(t);
    const damaged = await ollamaGuard(['join', link.slice(0, -20), '--data', data]);
    assert.equal(damaged.code, 1);
    assert.match(damaged.err, /This is not an invite/);
    assert.ok(!damaged.err.includes(link.slice(-60, -20)));
    await guard.guard.stop(0);
    const gone = await ollamaGuard(['join', link, '--data', data]);
    assert.equal(gone.code, 1);
    assert.match(gone.err, new RegExp(`does not answer at https://127.0.0.1:${guard.port}`));
  });
});

describe('ollama-guard leave', () => {
  it('forgets the key, and ends a connector that another process runs', async (t) => {
    const data = await temporaryFolder(t);
    const { guard, link } = await endpoint(t);
    const joining = keepRunning(t, ['join', link, ...anyPort, '--data', data]);
    await joining.line(listening);
    const left = await ollamaGuard(['leave', `127.0.0.1:${guard.port}`, '--data', data]);
    assert.equal(left.code, 0);
    assert.equal(await joining.ended, 0);
    assert.doesNotMatch(await readFile(join(data, 'joined.json'), 'utf8'), /og_/);
    const unknown = await ollamaGuard(['leave', 'mia', '--data', data]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.err, /There is no joined endpoint mia/);
  });
});
