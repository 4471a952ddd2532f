/** What a person sees when it does not work. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { basic, get, isOpen } from './client.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

describe('trouble', () => {
  let guard: GuardWindow;

  before(async () => {
    guard = await GuardWindow.open();
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  it('a port that is taken: says so, takes no other, and starts when it is free', async () => {
    const squatter = createServer().listen(guard.port, '127.0.0.1');
    try {
      await guard.run('Start');
      await guard.expectFailure(new RegExp(`${guard.port}`), 'port-taken');
    } finally {
      await new Promise((resolve) => squatter.close(resolve));
    }
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    assert.equal(await isOpen(guard.port), true);
  });

  it('an Ollama that is not running: 503 that says so, and the guard goes on', async () => {
    const credential = basic('alice', await guard.addUser('alice', 'viewer'));
    await guard.demo.stop();
    const reply = await get(`${guard.url}/api/tags`, credential);
    assert.equal(reply.status, 503);
    assert.match(reply.body, /Ollama/);
    await guard.expectStatus(texts.status.running);
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
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
