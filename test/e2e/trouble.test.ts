/** What a person sees when it does not work. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { basic, get, isOpen } from './client.ts';
import { freePort } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

/** Another program that listens on a port. */
class Squatter {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async on(port: number): Promise<Squatter> {
    const code = `require('node:net').createServer().listen(${port}, '127.0.0.1', () => console.log('listening'))`;
    const squatter = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(squatter.stdout, 'data');
    return new Squatter(squatter);
  }

  /** What the message about it says. */
  get words(): RegExp {
    return new RegExp(`is in use by node \\(process ${this.#process.pid}\\)`);
  }

  async leave(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill();
    await gone;
  }
}

describe('trouble', () => {
  let guard: GuardWindow;

  before(async () => {
    guard = await GuardWindow.open();
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  /** Has another program take the guard's port for as long as a test runs, and starts the guard. */
  async function startOnTakenPort(test: TestContext): Promise<Squatter> {
    const squatter = await Squatter.on(guard.port);
    test.after(() => squatter.leave());
    await guard.run('Start');
    return squatter;
  }

  async function stop(): Promise<void> {
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
  }

  it('a port that another program has: names it, takes no other, and starts when it is free', async (test) => {
    const { workbench } = guard;
    const squatter = await startOnTakenPort(test);
    await guard.expectFailure(squatter.words);
    await workbench.openSideBar('Ollama Guard');
    const failed = workbench.viewRows('Endpoint', squatter.words);
    await failed.waitFor();

    await squatter.leave();
    await workbench.rowAction(failed, 'Start');
    await guard.expectStatus(texts.status.running);
    assert.equal(await isOpen(guard.port), true);
    await failed.waitFor({ state: 'hidden' });
    await stop();
  });

  it('Retry, as often as it takes', async (test) => {
    const { workbench } = guard;
    const squatter = await startOnTakenPort(test);
    await workbench.toasts(squatter.words).waitFor();
    await guard.shoot('port-taken', ['high-contrast', 'light', 'dark']);
    await workbench.toastButton(squatter.words, texts.portTaken.retry);
    await workbench.toasts(squatter.words).waitFor();
    assert.equal(await workbench.toasts().count(), 1);

    await squatter.leave();
    await workbench.toastButton(squatter.words, texts.portTaken.retry);
    await guard.expectStatus(texts.status.running);
    assert.equal(await isOpen(guard.port), true);
    await stop();
  });

  it('Use Another Port asks which, keeps it, and starts there', async (test) => {
    const { workbench } = guard;
    const squatter = await startOnTakenPort(test);
    const port = await freePort();
    await workbench.toastButton(squatter.words, texts.portTaken.useAnother);
    await workbench.expectQuick(texts.portTaken.prompt);
    await workbench.enter('0');
    await workbench.expectQuick(texts.portTaken.range);
    await workbench.enter(String(port));
    await guard.expectStatus(texts.status.running);
    assert.equal(await isOpen(port), true);

    await workbench.reload();
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    assert.equal(await isOpen(port), true, 'it is still that port in a new window');
    await stop();
    await squatter.leave();
  });

  it('the row of the failure leads to another port too', async (test) => {
    const { workbench } = guard;
    guard.writeSettings({});
    await workbench.reload();
    await guard.expectStatus(texts.status.stopped);
    const squatter = await startOnTakenPort(test);
    const port = await freePort();
    await workbench.openSideBar('Ollama Guard');
    await workbench.rowAction(workbench.viewRows('Endpoint', squatter.words), texts.portTaken.useAnother);
    await workbench.expectQuick(texts.portTaken.prompt);
    await workbench.enter(String(port));
    await guard.expectStatus(texts.status.running);
    assert.equal(await isOpen(port), true);
    await stop();
    await workbench.clearToasts();
    guard.writeSettings({});
    await workbench.reload();
    await guard.expectStatus(texts.status.stopped);
  });

  it('an Ollama that is not running: 503 that says so, and the guard goes on', async () => {
    const credential = basic('alice', await guard.addUser('alice', 'viewer'));
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    await guard.demo.stop();
    const reply = await get(`${guard.url}/api/tags`, credential);
    assert.equal(reply.status, 503);
    assert.match(reply.body, /Ollama/);
    await guard.expectStatus(texts.status.running);
    await guard.workbench.openSideBar('Ollama Guard');
    await guard.workbench.viewRows('Endpoint', 'does not answer').waitFor();
    await stop();
  });

  it('an upstream that is no address', async () => {
    guard.writeSettings({ 'ollamaGuard.upstream': 'localhost 11434' });
    await guard.workbench.reload();
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Start');
    await guard.expectFailure(/ollamaGuard\.upstream/);
    assert.equal(await isOpen(guard.port), false);
  });
});

describe('a secret storage that fails', () => {
  let guard: GuardWindow;
  /** Alice was there before it failed. */
  let alice: Record<string, string>;

  before(async () => {
    guard = await GuardWindow.open();
    alice = basic('alice', await guard.addUser('alice', 'viewer'));
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  async function status(credential: Record<string, string>): Promise<number> {
    return (await get(`${guard.url}/api/tags`, credential)).status;
  }

  it('is said once, and the guard runs on what is in memory', async () => {
    const { workbench } = guard;
    await workbench.failSecrets(true);
    await workbench.reload();
    await workbench.toasts(texts.memoryOnly.warning).waitFor();
    await guard.expectStatus(texts.status.stopped);
    assert.equal(await workbench.toasts().count(), 1);
    await workbench.clearToasts();

    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    const bob = basic('bob', await guard.addUser('bob', 'viewer'));
    assert.equal(await status(bob), 200);
    assert.equal(await status(alice), 401);
    await workbench.openSideBar('Ollama Guard');
    await workbench.viewRows('Endpoint', texts.memoryOnly.row).waitFor();
    await workbench.viewRows('Users', 'bob').waitFor();
    assert.equal(await workbench.toasts().count(), 0);
    await guard.shoot('memory-only');
  });

  it('what was stored before is there when it works again', async () => {
    const { workbench } = guard;
    await workbench.failSecrets(false);
    await workbench.reload();
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    assert.equal(await status(alice), 200);
    await workbench.openSideBar('Ollama Guard');
    await workbench.viewRows('Users', 'alice').waitFor();
    assert.equal(await workbench.viewRows('Users', 'bob').count(), 0);
    assert.equal(await workbench.viewRows('Endpoint', texts.memoryOnly.row).count(), 0);
    assert.equal(await workbench.toasts().count(), 0);
  });
});
