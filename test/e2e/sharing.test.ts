/** A developer shares an Ollama from VS Code: all of it by the palette, every result checked from outside the editor. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { basic, bearer, firstModel, generate, get, isOpen, runCurl, urlOf } from './client.ts';
import { until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { command, texts } from './texts.ts';

describe('sharing an Ollama', () => {
  let guard: GuardWindow;
  /** Everything that must be nowhere on disk. */
  const secrets = new Set<string>();
  /** Passwords by user, as they are at the moment. */
  const passwords = new Map<string, string>();

  before(async () => {
    guard = await GuardWindow.open({
      demo: { tokensPerSecond: 50, tokens: 1_000_000 },
      settings: { 'ollamaGuard.logLevel': 'debug' },
    });
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  /** Copy curl Command with these choices. */
  async function copyCurl(user: string, credential: string, shell: string): Promise<string> {
    const { workbench } = guard;
    return await guard.copied(async () => {
      await guard.run('Copy curl Command');
      if (passwords.size > 1) await workbench.pick(user);
      await workbench.pick(credential);
      await workbench.pick(shell);
    });
  }

  /** What a user signs in with at the moment. */
  function signIn(user: string): Record<string, string> {
    return basic(user, passwords.get(user) ?? '');
  }

  /** Waits for the message that says that a command is done, and clears it. */
  async function done(words: string): Promise<void> {
    await guard.workbench.toastText(words);
    await guard.workbench.clearToasts();
  }

  // Wrong credentials are few here: ten in a minute and the guard asks to wait.
  async function status(headers: Record<string, string>): Promise<number> {
    return (await get(`${guard.url}/api/tags`, headers)).status;
  }

  it('does nothing until it is told to', async () => {
    await guard.expectStatus(texts.status.stopped);
    assert.equal(await isOpen(guard.port), false);
  });

  it('the palette offers what can be done now', async () => {
    const { workbench } = guard;
    const offered = async (title: string): Promise<boolean> => {
      await workbench.palette(command(title));
      await workbench.quickRows().first().waitFor();
      const found = await workbench.quickRows().getByText(command(title), { exact: true }).count();
      await workbench.dismiss();
      return found > 0;
    };
    assert.equal(await offered('Start'), true);
    for (const title of ['Stop', 'Restart', 'Stop This Request']) assert.equal(await offered(title), false, title);
  });

  it('Start opens the endpoint, for nobody yet', async () => {
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    assert.equal((await get(`${guard.url}/api/tags`)).status, 401);
    assert.equal((await get(`${guard.url}/v1/models`)).status, 401);
  });

  it('Add User generates a password: shown once, copied once, good at once', async () => {
    const { workbench } = guard;
    await guard.run('Add User');
    await workbench.expectQuick(texts.addUser.name);
    await workbench.enter('alice');
    await workbench.quickRows('viewer').waitFor();
    assert.equal(await workbench.quickRows().count(), 4);
    await guard.shoot('add-user-role');
    await workbench.pick('member');

    const password = await guard.copied(() => workbench.pick(texts.addUser.generate));
    secrets.add(password);
    passwords.set('alice', password);
    const shown = await workbench.toastText(texts.addUser.passwordFor('alice'));
    assert.ok(shown.includes(password), 'the notification shows what was copied');
    await guard.shoot('password-shown');
    assert.equal(await status(basic('alice', password)), 200);
    assert.equal(await status(basic('alice', `${password}x`)), 401);
    assert.equal(await status(basic('bob', password)), 401);
  });

  it('the message with the password leads on to the curl command', async () => {
    const { workbench } = guard;
    await workbench.toastButton(texts.addUser.passwordFor('alice'), 'Copy curl Command');
    await workbench.quickRows(texts.copyCurl.newKey).waitFor();
    await workbench.dismiss();
    assert.equal(await workbench.toasts().count(), 0);
  });

  it('Add User refuses a name that is taken', async () => {
    const { workbench } = guard;
    await guard.run('Add User');
    await workbench.expectQuick(texts.addUser.name);
    await workbench.enter('alice');
    await workbench.expectQuick(texts.addUser.taken);
    await workbench.dismiss();
  });

  it('Copy curl Command with a new API key: 200 and the very model list in bash, 401 without the key', async () => {
    const { workbench } = guard;
    const copied = await guard.copied(async () => {
      await guard.run('Copy curl Command');
      await workbench.pick(texts.copyCurl.newKey);
      await workbench.quickRows('PowerShell').waitFor();
      await guard.shoot('copy-curl');
      await workbench.pick('bash');
    });
    const key = /og_[\w-]+/.exec(copied)?.[0];
    assert.ok(key !== undefined, 'an API key is in the command');
    secrets.add(key);
    await done(texts.copyCurl.done('alice'));

    const reply = await runCurl(copied);
    assert.equal(reply.status, 200);
    assert.equal(reply.body, (await get(guard.demo.url + new URL(urlOf(copied)).pathname)).body);
    assert.equal(await status(bearer(key)), 200);
    assert.equal((await runCurl(`curl ${urlOf(copied)}`)).status, 401);
  });

  it('Copy curl Command that asks for the password: bash prompts, and holds no secret', async () => {
    const password = passwords.get('alice') ?? '';
    const copied = await copyCurl('alice', texts.copyCurl.askPassword, 'bash');
    assert.match(copied, /-u '?alice'?(\s|$)/);
    assert.ok(!copied.includes(password));
    assert.equal((await runCurl(copied, `${password}\n`)).status, 200);
    assert.equal((await runCurl(copied, 'wrong\n')).status, 401);
    await guard.workbench.clearToasts();
  });

  it('Copy curl Command for PowerShell and cmd', async () => {
    for (const shell of ['PowerShell', 'cmd']) {
      const copied = await copyCurl('alice', texts.copyCurl.askPassword, shell);
      assert.match(copied, /^curl(\.exe)? /);
      assert.ok(copied.includes(guard.url));
      assert.ok(!copied.includes(passwords.get('alice') ?? ''));
      await guard.workbench.clearToasts();
    }
  });

  it('Add User with a password typed twice, once with a slip', async () => {
    const { workbench } = guard;
    const password = 'correct horse battery staple';
    secrets.add(password);
    await guard.beginUser('bob', 'viewer');
    await workbench.pick(texts.addUser.type);
    await workbench.expectPasswordField();
    await workbench.enter(password);
    await workbench.expectQuick(texts.addUser.again);
    await workbench.expectPasswordField();
    await workbench.enter(`${password}r`);
    await workbench.expectQuick(texts.addUser.differ);
    await workbench.enter(password);
    await done(texts.addUser.added('bob'));
    passwords.set('bob', password);
    assert.equal(await status(basic('bob', password)), 200);
  });

  it('Reset Password ends the old one at once', async () => {
    const { workbench } = guard;
    const old = passwords.get('alice') ?? '';
    const password = await guard.copied(async () => {
      await guard.run('Reset Password');
      await workbench.pick('alice');
      await workbench.pick(texts.addUser.generate);
    });
    secrets.add(password);
    passwords.set('alice', password);
    assert.notEqual(password, old);
    await done(texts.addUser.passwordFor('alice'));
    assert.equal(await status(basic('alice', password)), 200);
    assert.equal(await status(basic('alice', old)), 401);
  });

  it('Create API Key and Revoke API Key', async () => {
    const { workbench } = guard;
    const key = await guard.copied(async () => {
      await guard.run('Create API Key');
      await workbench.pick('bob');
      await workbench.expectQuick(texts.apiKey.label);
      await workbench.enter('laptop');
    });
    secrets.add(key);
    assert.match(key, /^og_/);
    await done(texts.apiKey.keyFor('bob'));
    assert.equal(await status(bearer(key)), 200);

    await guard.run('Revoke API Key');
    await workbench.pick('laptop');
    await workbench.confirm(texts.revoke);
    await done(texts.apiKey.revoked('laptop'));
    assert.equal(await status(bearer(key)), 401);
    assert.equal(await status(signIn('bob')), 200);
  });

  it('Remove User ends the live stream of that user, and of no other', async () => {
    const { demo } = guard;
    const alice = signIn('alice');
    const password = await guard.addUser('carol', 'member');
    secrets.add(password);

    const model = await firstModel(demo.url);
    const stays = await generate(guard.url, model, alice);
    const goes = await generate(guard.url, model, basic('carol', password));
    await until('both answers flow', () => stays.arrivals.length > 3 && goes.arrivals.length > 3);
    assert.equal(demo.generating, 2);

    await guard.run('Remove User');
    await guard.workbench.pick('carol');
    await guard.workbench.confirm(texts.removeUser.confirm);
    await until('that answer ends', () => goes.outcome !== undefined);
    await until('Ollama stops that answer too', () => demo.generating === 1);
    await done(texts.removeUser.done('carol'));
    assert.equal(await status(basic('carol', password)), 401);

    const soFar = stays.arrivals.length;
    await until('the other answer flows on', () => stays.arrivals.length > soFar + 3);
    await stays.leave();
    await until('Ollama stops when the client leaves', () => demo.generating === 0);
  });

  it('the status bar tells endpoint, users and requests', async () => {
    await guard.expectStatus(texts.status.running);
    const tooltip = await guard.statusTooltip();
    assert.ok(tooltip.includes(`127.0.0.1:${guard.port}`));
    assert.match(tooltip, /2 users/);
    assert.match(tooltip, /\d+ requests/);
    await guard.shoot('status-running');
  });

  it('Stop closes the port, and ends what streams', async () => {
    const stream = await generate(guard.url, await firstModel(guard.demo.url), signIn('alice'));
    await until('an answer flows', () => stream.arrivals.length > 3);
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
    await until('the answer ends', () => stream.outcome !== undefined);
    assert.equal(await isOpen(guard.port), false);
    await until('Ollama stops', () => guard.demo.generating === 0);
  });

  it('a click on the status bar starts and stops', async () => {
    await guard.status.click();
    await guard.expectStatus(texts.status.running);
    assert.equal(await isOpen(guard.port), true);
    await guard.status.click();
    await guard.expectStatus(texts.status.stopped);
    assert.equal(await isOpen(guard.port), false);
  });

  it('Toggle and Restart', async () => {
    const { url, demo } = guard;
    await guard.run('Toggle');
    await guard.expectStatus(texts.status.running);
    const stream = await generate(url, await firstModel(demo.url), signIn('alice'));
    await guard.run('Restart');
    await until('the old one ends', () => stream.outcome !== undefined);
    await guard.expectStatus(texts.status.running);
    assert.equal(await status(signIn('bob')), 200);
    await guard.run('Toggle');
    await guard.expectStatus(texts.status.stopped);
  });

  it('users outlive the window', async () => {
    await guard.workbench.reload();
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    assert.equal(await status(signIn('alice')), 200);
    assert.equal(await status(signIn('bob')), 200);
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
  });

  it('Show Log shows the log', async () => {
    await guard.run('Show Log');
    await guard.workbench.page.locator('[id="workbench.panel.output"] .view-line').first().waitFor();
    await guard.workbench.command('View: Hide Panel');
  });

  it('no secret is in a log, a setting or any other file of the editor or the window', () => {
    const files = guard.window.editor.files();
    const holding = (text: string): string[] =>
      files.filter(({ content }) => content.includes(text)).map(({ name }) => name);

    assert.deepEqual(holding('"ollamaGuard.logLevel": "debug"'), ['data/User/settings.json']);
    assert.match(holding('GET /api/tags alice').join(), /ollama-guard\.ollama-guard.*\.log/);
    assert.ok(files.some(({ name }) => name.startsWith('profile/')));
    assert.ok(secrets.size >= 5);
    for (const secret of secrets) {
      for (const form of [secret, Buffer.from(secret).toString('base64')]) assert.deepEqual(holding(form), []);
    }
  });

  it('nothing was asked of another computer', () => {
    assert.deepEqual(guard.window.foreignRequests(), []);
  });
});
