/** What settings may do, and whose. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { type SettingName, settingNames } from '../../src/vscode/ids.ts';
import { basic, get, isOpen } from './client.ts';
import { freePort, type Setting, type Settings, until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

/** Settings by their names in the section. */
type Values = Readonly<Record<SettingName, Setting>>;

/** Ways to write settings: plainly, and in an object, which has got past the scopes of settings before (SEC-75). */
const forms: Readonly<Record<string, (values: Values) => Settings>> = {
  flat: (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [`ollamaGuard.${name}`, value])),
  nested: (values) => ({ ollamaGuard: values }),
};

/** What the settings of a stranger would change, as it looks from outside. */
interface Exposure {
  /** Statuses of a request under a foreign host name, by a page of a foreign origin, and with a large body. */
  readonly host: number;
  readonly origin: number;
  readonly body: number;
  /** Of what viewers may not do by the roles that are there anyway: 404 when only the model is missing. */
  readonly policy: number;
}

const byOwnSettings: Exposure = { host: 403, origin: 403, body: 200, policy: 403 };

async function exposureOf(url: string, credential: Readonly<Record<string, string>>): Promise<Exposure> {
  const tags = async (header: Record<string, string>) =>
    (await get(`${url}/api/tags`, { ...credential, ...header })).status;
  const large = JSON.stringify({ model: 'demo', padding: 'x'.repeat(1.5 * 1024 * 1024) });
  return {
    host: await tags({ host: 'foreign.example' }),
    origin: await tags({ origin: 'https://foreign.example' }),
    // A refusal may come as a connection that ends while the body is still on its way.
    body: await fetch(`${url}/api/show`, { method: 'POST', headers: credential, body: large }).then(
      ({ status }) => status,
      () => 413,
    ),
    policy: (
      await fetch(`${url}/api/delete`, {
        method: 'DELETE',
        headers: credential,
        body: JSON.stringify({ model: 'none' }),
      })
    ).status,
  };
}

describe('settings', () => {
  let guard: GuardWindow;
  /** Settings that open the guard, each of them seen from outside when it counts. */
  let hostile: Values;
  let port: number;
  const asked: string[] = [];
  let foreign: Awaited<ReturnType<typeof startDemoOllama>>;

  before(async () => {
    foreign = await startDemoOllama({ observe: (request) => asked.push(request.path) });
    port = await freePort();
    hostile = {
      host: '127.0.0.3',
      port,
      upstream: foreign.url,
      autoStart: true,
      // Read like all the others; on loopback, nothing of them is seen from outside.
      tls: 'off',
      tlsCertificate: '/foreign.pem',
      tlsKey: '/foreign.key',
      acmeDomain: 'foreign.example',
      acmeEmail: 'foreign@foreign.example',
      acmeDirectory: 'https://foreign.example/directory',
      acmeDirectoryCa: '/foreign.pem',
      acmeChallenge: 'http-01',
      acmeExternalAccount: 'foreign',
      allowedHosts: ['foreign.example'],
      allowedOrigins: ['https://foreign.example'],
      maxBodyMiB: 1,
      policy: { roles: { viewer: { can: ['read', 'infer', 'manage'] } } },
      logLevel: 'debug',
    };
    guard = await GuardWindow.open();
    await guard.addUser('alice', 'viewer');
  });
  after(async () => {
    await guard?.close();
    await foreign?.stop();
  });
  afterEach((test) => guard.check(test));

  /** Changes user settings and lets the window see them. */
  async function set(settings: Settings): Promise<void> {
    guard.writeSettings(settings);
    await guard.workbench.reload();
    await guard.status.waitFor();
  }

  /** Gives alice a new password. What the window does by itself at its start has begun when this is through. */
  async function resetPassword(): Promise<Record<string, string>> {
    const password = await guard.copied(async () => {
      await guard.run('Reset Password');
      await guard.workbench.pick(texts.addUser.generate);
    });
    await guard.workbench.toastText(texts.addUser.passwordFor('alice'));
    await guard.workbench.clearToasts();
    return basic('alice', password);
  }

  /** Waits until the window goes by the settings of what is open in it. */
  async function expectTitle(title: string): Promise<void> {
    await until(`the title is ${title}`, async () => (await guard.workbench.page.title()) === title);
    await guard.status.waitFor();
  }

  /** What is open in the window has hostile settings, and the guard goes by those of the user alone. */
  async function expectOwnSettings(): Promise<void> {
    const credential = await resetPassword();
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);

    assert.deepEqual(await exposureOf(guard.url, credential), byOwnSettings);
    for (const host of ['127.0.0.1', '127.0.0.3']) assert.equal(await isOpen(port, host), false);
    assert.equal(await isOpen(guard.port, '127.0.0.3'), false);
    assert.deepEqual(asked, []);
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
    assert.doesNotMatch(guard.log(), /\/api\/tags/);
  }

  it('every setting is among the hostile ones', () => {
    assert.deepEqual(Object.keys(hostile).sort(), [...settingNames].sort());
  });

  for (const [form, write] of Object.entries(forms)) {
    it(`a folder's settings, ${form}, change nothing (SEC-75)`, async () => {
      const title = `folder, ${form}`;
      const folder = path.join(guard.window.editor.folder, '.vscode');
      mkdirSync(folder, { recursive: true });
      writeFileSync(path.join(folder, 'settings.json'), JSON.stringify({ ...write(hostile), 'window.title': title }));
      await guard.workbench.reload();
      await expectTitle(title);
      await expectOwnSettings();
    });
  }

  for (const [form, write] of Object.entries(forms)) {
    it(`a workspace file's settings, ${form}, change nothing (SEC-75)`, async () => {
      const { editor } = guard.window;
      const title = `workspace, ${form}`;
      const file = path.join(editor.root, `hostile-${form}.code-workspace`);
      const settings = { ...write(hostile), 'window.title': title };
      // The folder in it has hostile settings too: those that the tests before this one left there.
      writeFileSync(file, JSON.stringify({ folders: [{ path: editor.folder }], settings }));
      await guard.workbench.open(editor.urlOfWorkspace(file));
      await expectTitle(title);
      await expectOwnSettings();
    });
  }

  for (const [form, write] of Object.entries(forms)) {
    it(`a remote computer's settings, ${form}, change nothing: a folder's dev container brings some along`, async () => {
      const { editor } = guard.window;
      const title = `remote, ${form}`;
      const file = path.join(editor.data, 'Machine', 'settings.json');
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify({ ...write(hostile), 'window.title': title }));
      await guard.workbench.open(editor.urlOf(`${editor.folder}-calm`));
      await expectTitle(title);
      await expectOwnSettings();
    });
  }

  it("the user's own settings do what is hostile in others", async () => {
    const credential = await resetPassword();
    await guard.workbench.open(guard.window.editor.urlOf(`${guard.window.editor.folder}-calm`));
    await set(forms.flat?.(hostile) ?? {});
    await guard.expectStatus(texts.status.running);
    assert.deepEqual(await exposureOf(`http://127.0.0.3:${port}`, credential), {
      host: 200,
      origin: 200,
      body: 413,
      policy: 404,
    });
    assert.ok(asked.length > 0);
    await until('requests are in the log', () => /GET \/api\/tags/.test(guard.log()));
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
  });

  it('autoStart starts the guard with the window', async () => {
    await set({ 'ollamaGuard.autoStart': true });
    await guard.expectStatus(texts.status.running);
    assert.equal((await get(`${guard.url}/api/tags`)).status, 401);
  });

  it('encryption that is not set to the end is a failure that names the setting', async () => {
    const incomplete = [
      [{ 'ollamaGuard.tls': 'files' }, /ollamaGuard\.tlsCertificate: must be the path of a PEM file/],
      [
        { 'ollamaGuard.tls': 'acme', 'ollamaGuard.acmeDomain': '192.0.2.1' },
        /ollamaGuard\.acmeDomain: must be a domain/,
      ],
    ] as const;
    for (const [settings, words] of incomplete) {
      await set(settings);
      await guard.run('Start');
      await guard.expectFailure(words);
    }
  });

  it('beyond loopback without encryption: the status bar warns', async () => {
    await set({ 'ollamaGuard.host': '0.0.0.0', 'ollamaGuard.tls': 'off' });
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    await guard.expectStatus(texts.status.exposed);
    assert.match((await guard.status.getAttribute('class')) ?? '', /\bwarning-kind\b/);
    await guard.shoot('status-exposed');
  });

  it('beyond loopback without a user: refuses to start', async () => {
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Remove User');
    await guard.workbench.confirm(texts.removeUser.confirm);
    await guard.workbench.toastText(texts.removeUser.done('alice'));
    await guard.workbench.clearToasts();

    await guard.run('Start');
    await guard.expectFailure(texts.noUsers);
    assert.equal(await isOpen(guard.port), false);
  });
});
