/** Sharing beyond this computer: encrypted, by invite, and seen from both sides. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { pageLink, parseInviteLink } from '../../src/guard/share/inviteLink.ts';
import { bearer, get, isOpen } from './client.ts';
import { until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { projectRoot } from './project.ts';
import { texts } from './texts.ts';

const cli = path.join(projectRoot, 'src', 'cli.ts');

const execute = promisify(execFile);

/** What was answered. */
interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Runs curl with its arguments as they are. Not in step: the Ollama that answers in the end is in this process. */
async function curl(...args: readonly string[]): Promise<Answer> {
  const all = ['--silent', '--show-error', '--noproxy', '*', '--write-out', '\n%{http_code}', ...args];
  const { stdout } = await execute('curl', all);
  const end = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) };
}

/** Somebody who shares from a terminal, on this computer. */
class Owner {
  readonly #data: string;
  readonly #serve: ChildProcess;

  private constructor(data: string, serve: ChildProcess) {
    this.#data = data;
    this.#serve = serve;
  }

  static async start(upstream: string, data: string): Promise<Owner> {
    const serve = spawn(
      process.execPath,
      [cli, 'serve', '--tls', 'auto', '--listen', '127.0.0.1:0', '--upstream', upstream, '--data', data],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = await once(serve.stdout.setEncoding('utf8'), 'data');
    assert.match(String(line), /listening on https:/);
    return new Owner(data, serve);
  }

  /** The link of a new invite. */
  async invite(name: string): Promise<string> {
    const { stdout } = await execute(process.execPath, [cli, 'invite', name, '--data', this.#data]);
    return stdout.trim();
  }

  async stop(): Promise<void> {
    const exited = once(this.#serve, 'exit');
    this.#serve.kill();
    await exited;
  }
}

describe('inviting a teammate', () => {
  let guard: GuardWindow;
  let folder: string;
  let caFile: string;

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'ollama-guard-invite-'));
    caFile = path.join(folder, 'ca.pem');
    guard = await GuardWindow.open({ settings: { 'ollamaGuard.host': '0.0.0.0' } });
    await guard.workbench.openSideBar('Ollama Guard');
    await guard.addUser('bob', 'member');
  });
  after(async () => {
    await guard?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach((test) => guard.check(test));

  /** Where a teammate reaches the endpoint; nothing leaves this computer. */
  const encrypted = (): string => `https://127.0.0.1:${guard.port}`;

  /** What a program gets for an invite. */
  async function redeem(link: string): Promise<Answer> {
    const { code } = parseInviteLink(link);
    const body = path.join(folder, 'code.json');
    writeFileSync(body, JSON.stringify({ code }), { mode: 0o600 });
    const type = 'content-type: application/json';
    return curl('--cacert', caFile, '-H', type, '--data', `@${body}`, `${encrypted()}/_guard/join`);
  }

  it('what leaves this computer is encrypted, and the view says so', async () => {
    const { workbench } = guard;
    await guard.run('Start');
    await workbench.viewRows('Endpoint', /Encrypted.*auto, until/).waitFor();
    await workbench.viewRows('Endpoint', /Addresses/).waitFor();
    const own = Object.values(networkInterfaces()).flat();
    for (const { address } of own
      .filter((entry) => entry?.family === 'IPv4' && !entry.internal)
      .map((e) => e ?? assert.fail())) {
      await workbench.viewRows('Endpoint', `https://${address}:${guard.port}`).waitFor();
    }
    assert.doesNotMatch(await guard.statusLabel(), texts.status.exposed);
    await guard.shoot('endpoint-encrypted');
  });

  it('Copy CA Certificate copies what curl trusts it by', async () => {
    const { workbench } = guard;
    const pem = await guard.copied(() => guard.run('Copy CA Certificate'));
    writeFileSync(caFile, pem);
    const said = await workbench.toastText('SHA-256 fingerprint');
    const fingerprint = await guard.copied(() => workbench.toastButton('SHA-256 fingerprint', 'Copy Fingerprint'));
    assert.ok(said.includes(fingerprint));
    assert.match(fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    assert.equal((await curl('--cacert', caFile, `${encrypted()}/_guard/health`)).status, 200);
    assert.equal(
      (await get(`${guard.url}/_guard/health`)).status,
      200,
      'programs on this computer need no certificate',
    );
    await workbench.clearToasts();
  });

  it('an invite is a link, works once, and is seen to be used', async () => {
    const { workbench } = guard;
    const link = await guard.copied(async () => {
      await guard.run('Invite Teammate');
      await workbench.pick('Somebody new');
      await workbench.expectQuick(texts.addUser.name);
      await workbench.enter('alice');
      await workbench.pick('member');
      await workbench.pick('For 7 days');
    });
    assert.match(link, /^https:\/\/[^/]+\/_guard\/join#/);
    const { user, addresses, caSha256 } = parseInviteLink(link);
    assert.equal(user, 'alice');
    assert.ok(addresses.every((address) => address.startsWith('https:')));
    assert.match(caSha256 ?? '', /^[0-9A-F:]{95}$/);

    const editor = await guard.copied(() => workbench.toastButton('Copied an invite for alice', 'Copy VS Code Link'));
    assert.match(editor, /^[a-z-]+:\/\/ollama-guard\.ollama-guard\/join#/);
    assert.deepEqual(parseInviteLink(editor), parseInviteLink(link));
    await workbench.toastButton('Copied the VS Code link', 'Show QR Code');
    const page = workbench.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
    await page.getByRole('heading', { name: 'Invite for alice' }).waitFor();
    await page.getByRole('img', { name: 'QR code' }).waitFor();
    await guard.shoot('invite-qr');

    const row = workbench.viewRows('Users', 'alice');
    await row.click();
    await until('the row is unfolded', async () => {
      if ((await row.getAttribute('aria-expanded')) === 'true') return true;
      await workbench.page.keyboard.press('ArrowRight');
      return false;
    });
    await workbench.viewRows('Users', /Invite.*open until/).waitFor();

    const answer = await redeem(link);
    assert.equal(answer.status, 200, answer.body);
    const { apiKey } = JSON.parse(answer.body) as { apiKey: string };
    await workbench.toasts('alice joined from 127.0.0.1').waitFor();
    await guard.shoot('invite-redeemed');
    await workbench.viewRows('Users', /Invite.*open until/).waitFor({ state: 'hidden' });
    await page.getByRole('heading').waitFor({ state: 'detached' });
    assert.equal((await get(`${guard.url}/api/tags`, bearer(apiKey))).status, 200);
    assert.notEqual((await redeem(link)).status, 200, 'it works once');

    await workbench.toastButton('alice joined', texts.revoke);
    await workbench.confirm(texts.revoke);
    await until('the key is revoked', async () => {
      // An answer that is under way when the key is revoked is cut off.
      const cut = { status: 0 };
      return (await get(`${guard.url}/api/tags`, bearer(apiKey)).catch(() => cut)).status === 401;
    });
    await workbench.clearToasts();
  });

  it('an invite is revoked from its row', async () => {
    const { workbench } = guard;
    const link = await guard.copied(async () => {
      await guard.run('Invite Teammate');
      await workbench.pick('bob');
      await workbench.pick('For good');
    });
    await workbench.clearToasts();
    const user = workbench.viewRows('Users', 'bob');
    await user.click();
    await until('the row is unfolded', async () => {
      if ((await user.getAttribute('aria-expanded')) === 'true') return true;
      await workbench.page.keyboard.press('ArrowRight');
      return false;
    });
    const row = workbench.viewRows('Users', /Invite.*open until/);
    await workbench.rowAction(row, 'Revoke Invite');
    await row.waitFor({ state: 'hidden' });
    assert.notEqual((await redeem(link)).status, 200);
    await workbench.clearToasts();
  });

  describe('by somebody else', () => {
    let owner: Owner;

    before(async () => {
      owner = await Owner.start(guard.demo.url, path.join(folder, 'owner'));
    });
    after(() => owner?.stop());

    it('Join a Shared Ollama asks first, and then every program on this computer finds it', async () => {
      const { workbench } = guard;
      await guard.run('Join a Shared Ollama');
      await workbench.quickField.fill('https://192.0.2.1/_guard/join#nothing');
      await workbench.expectQuick('This is not an invite');
      await workbench.enter(await owner.invite('carol'));
      const dialog = workbench.page.locator('.monaco-dialog-box');
      await dialog.getByText('You will be known there as carol').waitFor();
      await dialog.getByText('Fingerprint of its certificate').waitFor();
      await guard.shoot('join-confirm');
      await workbench.confirm('Join');
      const said = await workbench.toastText('Joined.');
      const [url = ''] = /http:\/\/127\.0\.0\.1:\d+/.exec(said) ?? [];
      await workbench.viewRows('Joined', url).waitFor();
      assert.equal((await curl(`${url}/api/tags`)).status, 200);
      assert.equal((await curl('-H', 'origin: https://foreign.example', `${url}/api/tags`)).status, 403);
      const copied = await guard.copied(() => workbench.rowAction(workbench.viewRows('Joined', url), 'Copy Address'));
      assert.equal(copied, url);
      await guard.shoot('joined');
      await workbench.clearToasts();

      await workbench.reload();
      await workbench.viewRows('Joined', url).waitFor();
      await until('it answers again', () => isOpen(Number(new URL(url).port)));
      assert.equal((await curl(`${url}/api/tags`)).status, 200, 'it outlives the window');

      await workbench.rowAction(workbench.viewRows('Joined', url), 'Leave Shared Ollama');
      await workbench.toastText('Left.');
      await until('it is closed', async () => !(await isOpen(Number(new URL(url).port))));
      await workbench.clearToasts();
    });

    it('a link into VS Code asks first too, and an invite that is used up is refused in words', async () => {
      const { workbench } = guard;
      const link = await owner.invite('dave');
      const dialog = workbench.page.locator('.monaco-dialog-box');
      const editorLink = `code-oss://ollama-guard.ollama-guard/join#${link.split('#')[1]}`;
      await workbench.command('Developer: Open URL');
      await workbench.enter(editorLink);
      await workbench.confirm('Open');
      await dialog.getByText('You will be known there as dave').waitFor();
      await workbench.confirm('Cancel');
      await dialog.waitFor({ state: 'hidden' });
      assert.equal(await workbench.toasts().count(), 0, 'nothing happened');

      for (const words of ['Joined.', 'The endpoint did not take the invite']) {
        await guard.run('Join a Shared Ollama');
        await workbench.enter(link);
        await workbench.confirm('Join');
        await workbench.toasts(words).waitFor();
        await workbench.clearToasts();
      }
      await guard.run('Leave Shared Ollama');
      await workbench.quickRows().first().click();
      await workbench.toastText('Left.');
      await workbench.clearToasts();
    });

    it('words of a hostile owner are words, and nothing to click', async () => {
      const { workbench } = guard;
      const hostile = createServer((req, res) => {
        res.writeHead(req.method === 'GET' ? 200 : 403, { 'content-type': 'application/json' });
        res.end(JSON.stringify({ error: 'No. [Mend it](command:workbench.action.openSettings "Help")' }));
      }).listen(0, '127.0.0.1');
      try {
        await once(hostile, 'listening');
        const { port } = hostile.address() as AddressInfo;
        const { code } = parseInviteLink(await owner.invite('erin'));
        await guard.run('Join a Shared Ollama');
        await workbench.enter(pageLink({ addresses: [`http://127.0.0.1:${port}`], code, user: 'erin' }));
        await workbench.confirm('Join');
        const toast = workbench.toasts('Mend it');
        await toast.waitFor();
        assert.equal(await toast.locator('a[href], .notification-list-item-message a').count(), 0);
        await workbench.clearToasts();
      } finally {
        hostile.close();
      }
    });
  });
});
