import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { bodyProblem, hasBody, watchBodySize } from '../../../src/guard/entry/body.ts';

const message = (headers: Readonly<Record<string, string>>): IncomingMessage =>
  Object.assign(new PassThrough(), { headers }) as unknown as IncomingMessage;

test('a body is announced by a length other than 0, or by chunks', () => {
  assert.equal(hasBody(message({})), false);
  assert.equal(hasBody(message({ 'content-length': '0' })), false);
  assert.equal(hasBody(message({ 'content-length': '1' })), true);
  assert.equal(hasBody(message({ 'transfer-encoding': 'chunked' })), true);
});

test('the kind of a route decides what a body may be', () => {
  const large = message({ 'content-length': '11' });
  assert.equal(bodyProblem(large, 'json', 10), 'body-too-large');
  assert.equal(bodyProblem(large, 'json', 11), undefined);
  assert.equal(bodyProblem(large, 'blob', 10), 'body-too-large');
  assert.equal(bodyProblem(large, 'blob', 11), undefined);
  assert.equal(bodyProblem(large, 'none', 100), 'unexpected-body');
  assert.equal(bodyProblem(message({}), 'none', 10), undefined);
});

test('a chunked body calls out once, when it grows beyond the limit', () => {
  const req = message({ 'transfer-encoding': 'chunked' });
  let calls = 0;
  watchBodySize(req, 10, () => calls++);
  req.emit('data', Buffer.alloc(10));
  assert.equal(calls, 0);
  req.emit('data', Buffer.alloc(1));
  req.emit('data', Buffer.alloc(1));
  assert.equal(calls, 1);
});
