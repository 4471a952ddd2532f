/**
 * The guard's thread, in the editor that it must be independent of. Each test does the same thing on the extension
 * host's own thread at the same time, which shows that the test would notice.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { basic, firstModel, generate, get, Stream } from './client.ts';
import { until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { Probe } from './probe.ts';
import { packageProbe } from './project.ts';
import { RecordingProxy } from './recordingProxy.ts';
import { texts } from './texts.ts';

describe('the guard thread', () => {
  const temporary = mkdtempSync(path.join(tmpdir(), 'ollama-guard-probe-'));
  let proxy: RecordingProxy;
  let guard: GuardWindow;
  let probe: Probe;
  let credential: Record<string, string>;

  before(async () => {
    proxy = await RecordingProxy.start();
    guard = await GuardWindow.open({
      // Not on the list of addresses that VS Code never sends through a proxy.
      demo: { host: '127.0.0.2', tokensPerSecond: 100, tokens: 1_000_000 },
      settings: { 'http.proxy': proxy.url },
      extensions: [packageProbe(temporary)],
    });
    probe = new Probe(guard.window);
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    credential = basic('alice', await guard.addUser('alice', 'member'));
  });
  after(async () => {
    try {
      await guard?.close();
    } finally {
      // What stays open would keep this process, and the reason from being told.
      await proxy?.stop();
      rmSync(temporary, { recursive: true });
    }
  });
  afterEach((test) => guard.check(test));

  it("uses Node's own http: the editor's proxy setting does not reach it", async () => {
    assert.equal(new URL(guard.demo.url).hostname, '127.0.0.2');
    assert.equal(await probe.get(`${guard.demo.url}/api/version`), 200);
    assert.deepEqual(proxy.asked, [`${guard.demo.url}/api/version`], 'what the host thread asks goes to the proxy');

    const reply = await get(`${guard.url}/api/tags`, credential);
    assert.deepEqual(reply, await get(`${guard.demo.url}/api/tags`));
    assert.equal(proxy.asked.length, 1, 'what the guard asks does not');
  });

  it('what nobody catches on the host thread fails a test, also a lost connection, which has no frames', async () => {
    await probe.loseConnections();
    const lost: string[] = [];
    await until('both are in the log', () => lost.push(...guard.window.takeHostErrors()) >= 2);
    assert.equal(lost.length, 2);
    for (const error of lost) assert.match(error, /read ECONNRESET/);
  });

  it('streams on while the host thread is blocked', async (test) => {
    const block = 1_000;
    const throughHost = await Stream.open(await probe.tick());
    const throughGuard = await generate(guard.url, await firstModel(guard.demo.url), credential);
    await until('both flow', () => throughHost.arrivals.length > 20 && throughGuard.arrivals.length > 20);

    await probe.block(3, block);
    await throughHost.leave();
    await throughGuard.leave();

    const [host, own] = [throughHost.longestGap, throughGuard.longestGap].map(Math.round);
    test.diagnostic(`longest silence: ${host} ms through the host thread, ${own} ms through the guard`);
    assert.ok(throughHost.longestGap > 0.9 * block, `the host was blocked: ${throughHost.longestGap} ms of silence`);
    assert.ok(throughGuard.longestGap < block / 2, `the guard fell silent for ${throughGuard.longestGap} ms`);
  });
});
