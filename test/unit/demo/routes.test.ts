import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import type { DemoOllama } from '../../../src/demo/demoOllama.ts';
import { matchPath, ROUTES } from '../../../src/demo/routes.ts';
import { demoFor, post } from './support.ts';

/** Sends a request target as it is; fetch would tidy it up. */
function statusOf(demo: DemoOllama, method: string, path: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request({ host: '127.0.0.1', port: demo.port, method, path }, (response) => {
    response.resume();
    resolve(response.statusCode);
  })
    .on('error', reject)
    .end();
  return promise;
}

test('every route is found by its own path', () => {
  for (const { path, methods } of ROUTES) {
    const match = matchPath(path.replace(/:$/, 'x'));
    for (const method of methods) assert.ok(match?.handlers.has(method), `${method} ${path}`);
  }
});

test('a variable segment is one segment, and not empty', () => {
  assert.equal(matchPath('/v1/models/demo')?.param, 'demo');
  assert.equal(matchPath('/v1/models/'), undefined);
  assert.equal(matchPath('/v1/models/a/b'), undefined);
});

test('a path that Ollama does not have is not found', async (t) => {
  const demo = await demoFor(t);
  for (const path of ['/api', '/api/web_search', '/v1/images/generations', '/API/tags', '//api/tags', '/api/./tags']) {
    assert.equal(await statusOf(demo, 'GET', path), 404, path);
  }
});

test('a method that a path does not have is not allowed', async (t) => {
  const demo = await demoFor(t);
  const response = await fetch(`${demo.url}/api/chat`);
  assert.equal(response.status, 405);
  assert.equal(response.headers.get('allow'), 'POST');
  assert.equal(await statusOf(demo, 'HEAD', '/api/ps'), 405);
});

test('paths match decoded, as in gin', async (t) => {
  const demo = await demoFor(t);
  assert.equal(await statusOf(demo, 'GET', '/api/%74ags'), 200);
  assert.equal(await statusOf(demo, 'GET', '/api%2Ftags'), 200);
  assert.equal(await statusOf(demo, 'GET', '/api/%zz'), 404);
});

test('an absolute request target is taken for its path', async (t) => {
  const demo = await demoFor(t);
  assert.equal(await statusOf(demo, 'GET', 'http://elsewhere.example/api/tags?x=1'), 200);
  assert.equal(await statusOf(demo, 'GET', 'http://elsewhere.example'), 200);
});

test('a slash too many is redirected', async (t) => {
  const demo = await demoFor(t);
  assert.equal(await statusOf(demo, 'GET', '/api/tags/'), 301);
  assert.equal(await statusOf(demo, 'POST', '/api/chat/'), 307);
});

test('what needs ollama.com is refused', async (t) => {
  const demo = await demoFor(t);
  for (const [path, status] of [
    ['/api/me', 503],
    ['/api/signout', 401],
    ['/api/experimental/web_search', 403],
    ['/api/experimental/web_fetch', 403],
  ] as const) {
    assert.equal((await post(demo, path, {})).status, status, path);
  }
});
