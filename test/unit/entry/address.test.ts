import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalAddress, isWildcard, plainAddress } from '../../../src/guard/entry/address.ts';

test('a mapped address is the IPv4 address it stands for', () => {
  assert.equal(plainAddress('::ffff:192.168.1.5'), '192.168.1.5');
  assert.equal(plainAddress('::FFFF:192.168.1.5'), '192.168.1.5');
  assert.equal(plainAddress('192.168.1.5'), '192.168.1.5');
  assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1');
  assert.equal(plainAddress('::1'), '::1');
});

test('however an address is written, its canonical form is the one sockets give', () => {
  assert.equal(canonicalAddress('0:0:0:0:0:0:0:1'), '::1');
  assert.equal(canonicalAddress('FE80::0:1%eth0'), 'fe80::1');
  assert.equal(canonicalAddress('::ffff:10.0.0.1'), '10.0.0.1');
  assert.equal(canonicalAddress('10.0.0.1'), '10.0.0.1');
  assert.equal(canonicalAddress('gpu.example.org'), 'gpu.example.org');
});

test('wildcards stand for every address', () => {
  assert.ok(isWildcard('0.0.0.0') && isWildcard('::'));
  assert.ok(!isWildcard('127.0.0.1') && !isWildcard('::1'));
});
