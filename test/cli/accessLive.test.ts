import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { keepRunning, ollamaGuard, temporaryFolder } from './command.ts';

/** A guard in front of a demo whose answers never end, with one user who has a key. */
async function serveTo(t: TestContext, name: string) {
  const demo = await startDemoOllama({ tokensPerSecond: 20, tokens: 1_000_000 });
  t.after(() => demo.stop());
  const data = await temporaryFolder(t);
  const run = async (...args: readonly string[]) => {
    const outcome = await ollamaGuard([...args, '--data', data]);
    assert.equal(outcome.code, 0, outcome.err);
    return outcome.out.trim();
  };
  await run('user', 'add', name, '--no-password');
  const key = await run('key', 'add', name);
  const guard = keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data]);
  const url = await guard.line(/^listening on (\S+)$/m);
  const call = (key: string, path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${key}` } });
  const untilStatus = async (key: string, status: number, path = '/api/tags', init: RequestInit = {}) => {
    for (;;) {
      // One that is being answered when access ends is cut off.
      const answer = await call(key, path, init).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.status === status) return;
      // Seldom enough not to be kept out for failed sign-ins.
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  };
  /** An answer that has begun, and that has not ended by itself. */
  const stream = async (key: string) => {
    const body = JSON.stringify({ model: 'demo', prompt: 'Tell me everything.' });
    const answer = await call(key, '/api/generate', { method: 'POST', body });
    assert.equal(answer.status, 200);
    const reader = answer.body?.getReader();
    await reader?.read();
    return {
      /** Fulfilled when it is cut off. */
      cut: (async () => {
        for (;;) {
          const piece = await reader?.read().catch(() => undefined);
          if (piece === undefined) return;
          assert.equal(piece.done, false, 'it ended by itself');
        }
      })(),
    };
  };
  const ollamaIsIdle = async () => {
    while (demo.generating > 0) await new Promise((resolve) => setTimeout(resolve, 25));
  };
  return { key, run, call, untilStatus, stream, ollamaIsIdle };
}

describe('a guard that serves while access changes', () => {
  it('takes another role, and lets a disabled user in no more until it is enabled; its stream ends', async (t) => {
    const { key, run, call, untilStatus, stream, ollamaIsIdle } = await serveTo(t, 'alice');
    assert.equal((await call(key, '/api/tags')).status, 200);
    const embedding = { method: 'POST', body: JSON.stringify({ model: 'demo', input: 'x' }) };
    await run('user', 'set', 'alice', '--role', 'viewer');
    await untilStatus(key, 403, '/api/embed', embedding);
    assert.equal((await call(key, '/api/tags')).status, 200);
    await run('user', 'set', 'alice', '--role', 'member');
    await untilStatus(key, 200, '/api/embed', embedding);

    const { cut } = await stream(key);
    await run('user', 'disable', 'alice');
    await cut;
    await ollamaIsIdle();
    assert.equal((await call(key, '/api/tags')).status, 401);
    await run('user', 'enable', 'alice');
    await untilStatus(key, 200);
  });

  it('lets in neither a user nor a key that has run out, and ends their streams', async (t) => {
    const { key, run, call, untilStatus, stream, ollamaIsIdle } = await serveTo(t, 'alice');
    const brief = await run('key', 'add', 'alice', '--expires', '3s');
    await untilStatus(brief, 200);
    const ofKey = await stream(brief);
    await ofKey.cut;
    await untilStatus(brief, 401);
    assert.equal((await call(key, '/api/tags')).status, 200, 'the other key goes on');

    const ofUser = await stream(key);
    await run('user', 'set', 'alice', '--expires', '1s');
    await ofUser.cut;
    await ollamaIsIdle();
    assert.equal((await call(key, '/api/tags')).status, 401);
    await run('user', 'set', 'alice', '--no-expiry');
    await untilStatus(key, 200);
  });
});
