import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DemoOllama } from '../../../src/demo/demoOllama.ts';
import { demoFor } from './support.ts';

const asks = (demo: DemoOllama, origin: string, method = 'GET') =>
  fetch(`${demo.url}/api/version`, { method, headers: { Origin: origin } });

test('a page of a foreign origin is refused without words', async (t) => {
  const demo = await demoFor(t);
  for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example', 'http://127.0.0.1:1x']) {
    for (const method of ['GET', 'OPTIONS']) {
      const response = await asks(demo, origin, method);
      assert.deepEqual([response.status, await response.text()], [403, ''], origin);
      assert.equal(response.headers.get('access-control-allow-origin'), null);
    }
  }
});

test('local pages and desktop apps may call', async (t) => {
  const demo = await demoFor(t);
  for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'vscode-webview://x', 'moz-extension://x']) {
    const response = await asks(demo, origin);
    assert.equal(response.headers.get('access-control-allow-origin'), origin);
    assert.equal(response.status, 200);
    assert.equal((await asks(demo, origin, 'OPTIONS')).status, 204);
  }
});

test('with OLLAMA_ORIGINS=* every page may call', async (t) => {
  const demo = await demoFor(t, { origins: '*' });
  const response = await asks(demo, 'https://evil.example');
  assert.equal(response.headers.get('access-control-allow-origin'), '*');
  assert.equal(response.status, 200);
});
