import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialectOf, routes } from '../../src/guard/routes.ts';

test('a path speaks the dialect of its surface, also when it is not on it', () => {
  assert.equal(dialectOf('/api/chat'), 'ollama');
  assert.equal(dialectOf('/'), 'ollama');
  assert.equal(dialectOf(''), 'ollama');
  assert.equal(dialectOf('/v1/models'), 'openai');
  assert.equal(dialectOf('/v1/unknown'), 'openai');
  assert.equal(dialectOf('/v1/messages'), 'anthropic');
  assert.equal(dialectOf('/v1/messages/count_tokens'), 'anthropic');
  assert.equal(dialectOf('/v1/messagesx'), 'openai');
});

test('blobs alone are of any size, and only methods without a body take none', () => {
  for (const { method, path, body, needs } of routes) {
    if (body === 'blob') assert.match(String(path), /blobs/);
    if (needs !== 'denied') assert.equal(body === 'none', method === 'GET' || method === 'HEAD', `${method} ${path}`);
  }
});
