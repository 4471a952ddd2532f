import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clampLimit } from '../../../src/guard/policy/clampWords.ts';

test('who asks for too much is told what is permitted', () => {
  const limit = (place: string, says: string) => clampLimit({ place: `clamps.${place}`, says });
  assert.equal(limit('keepAlive.max', '2h'), 'a keep_alive of 2h at most');
  assert.equal(limit('keepAlive.min', '1m'), 'a keep_alive of 1m at least');
  assert.equal(limit('contextTokens', '8192'), 'a context (num_ctx) of 8192 tokens');
  assert.equal(limit('outputTokens', '1'), 'an answer of 1 token');
  assert.equal(limit('images', '2'), '2 images');
  assert.equal(limit('imageBytes', '1000'), '1000 bytes of images');
  assert.equal(limit('options', 'seed stop'), 'these options: seed, stop');
  assert.equal(limit('options', ''), 'no options');
  assert.equal(limit('keepAlive', '{"min":"1m"}'), undefined);
});
