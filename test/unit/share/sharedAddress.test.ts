import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { isSharedWith, reaches, type Share } from '../../../src/guard/share/sharedAddress.ts';

test('a listener reaches its own address, and a wildcard those of its kind', () => {
  assert.ok(reaches('127.0.0.1', '127.0.0.1'));
  assert.ok(!reaches('127.0.0.1', '127.0.0.2'));
  assert.ok(reaches('0.0.0.0', '192.168.1.5') && !reaches('0.0.0.0', 'fd00::2'));
  assert.ok(reaches('::', '192.168.1.5') && reaches('::', 'fd00::2'));
  assert.ok(!reaches('127.0.0.1', '0.0.0.0'));
});

const at = (localAddress: string): Socket => ({ localAddress }) as Socket;
const allows = (share: Partial<Share>, localAddress: string, cameBy?: Server): boolean =>
  isSharedWith(
    { host: 'x', address: '192.168.1.5', server: undefined, users: new Set(['mia']), ...share },
    'adam',
    at(localAddress),
    cameBy,
  );

test('the list of users applies at the shared address, in whatever form it comes, and nowhere else', () => {
  assert.equal(allows({}, '192.168.1.5'), false);
  assert.equal(allows({}, '::ffff:192.168.1.5'), false);
  assert.equal(allows({}, '127.0.0.1'), true);
  assert.equal(allows({ users: undefined }, '192.168.1.5'), true);
  assert.equal(allows({ users: new Set(['adam']) }, '192.168.1.5'), true);
  assert.equal(allows({ users: new Set() }, '192.168.1.5'), false);
});

test('a shared wildcard is every address', () => {
  for (const address of ['0.0.0.0', '::']) assert.equal(allows({ address }, '127.0.0.1'), false);
});

test('with a listener of its own, the list applies to what came by that', () => {
  const [own, other] = [{} as Server, {} as Server];
  assert.equal(allows({ server: own }, '192.168.1.5', own), false);
  assert.equal(allows({ server: own }, '127.0.0.1', other), true);
});
