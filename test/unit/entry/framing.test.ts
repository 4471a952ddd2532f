import assert from 'node:assert/strict';
import { test } from 'node:test';
import { framingProblem } from '../../../src/guard/entry/framing.ts';

const host = ['Host', 'localhost'];

test('a plain message has no problem', () => {
  assert.equal(framingProblem([...host, 'Content-Length', '0', 'X-Host', 'a', 'X-Host', 'b']), undefined);
  assert.equal(framingProblem([...host, 'Transfer-Encoding', 'Chunked']), undefined);
  assert.equal(framingProblem([...host, 'Content-Encoding', 'Identity']), undefined);
});

test('what decides on a message is there once at most, in any case of letters', () => {
  const names = ['Host', 'Authorization', 'X-Api-Key', 'Content-Length', 'Transfer-Encoding', 'Origin', 'Expect'];
  for (const name of names) {
    const value = name === 'Transfer-Encoding' ? 'chunked' : '1';
    const twice = [...(name === 'Host' ? [] : host), name, value, name.toUpperCase(), value];
    assert.equal(framingProblem(twice), 'bad-request', name);
  }
});

// Node's own parser refuses these too; the rule does not lean on that.
test('length and chunks together, other codings and odd lengths are refused', () => {
  assert.equal(framingProblem([...host, 'Content-Length', '1', 'Transfer-Encoding', 'chunked']), 'bad-request');
  for (const coding of ['gzip, chunked', 'identity', 'chunked, chunked', '', 'xchunked']) {
    assert.equal(framingProblem([...host, 'Transfer-Encoding', coding]), 'bad-request', coding);
  }
  for (const length of ['', '-1', '+1', '1,1', '0x1', '1 ', '1'.repeat(16)]) {
    assert.equal(framingProblem([...host, 'Content-Length', length]), 'bad-request', length);
  }
});

test('a message without a host, or with a content encoding, is refused', () => {
  assert.equal(framingProblem([]), 'bad-request');
  assert.equal(framingProblem([...host, 'Content-Encoding', 'zstd']), 'unsupported-encoding');
});
