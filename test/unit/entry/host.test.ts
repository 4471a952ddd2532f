import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createHostRule, hostOf } from '../../../src/guard/entry/host.ts';

const computer = {
  addresses: () => ['192.168.1.7', 'fd00::7', 'fe80::1'],
  hostName: () => 'Box.lan',
};

test('reads name[:port] and nothing else', () => {
  assert.equal(hostOf('Example.org:443'), 'example.org');
  assert.equal(hostOf('[FD00::7]:1'), 'fd00::7');
  for (const header of ['', 'a b', 'a/b', 'a:b', 'a:', '[::1', 'a@b', 'a:65536', '[a]', 'a:1:2', 'a\n', 'é.org']) {
    assert.equal(hostOf(header), undefined, header);
  }
});

test('a URL made of an accepted Host would lead to that very host', () => {
  const header = fc.string({ unit: fc.constantFrom(...'ab1.:/#@?[]\\-_% \tZ') });
  fc.assert(
    fc.property(header, (text) => {
      const host = hostOf(text);
      if (host === undefined) return;
      assert.match(host, /^[a-z0-9._:-]+$/);
      const bracketed = host.includes(':') ? `[${host}]` : host;
      assert.ok(text.toLowerCase().startsWith(bracketed));
      assert.match(text.slice(bracketed.length), /^(:\d{1,5})?$/);
    }),
    { numRuns: 2_000 },
  );
});

test('host and port are read back as they were written', () => {
  const port = fc.option(fc.nat(65_535), { nil: undefined });
  fc.assert(
    fc.property(fc.oneof(fc.domain(), fc.ipV4()), port, (name, number) => {
      assert.equal(hostOf(number === undefined ? name : `${name}:${number}`), name.toLowerCase());
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), port, (address, number) => {
      const header = number === undefined ? `[${address}]` : `[${address}]:${number}`;
      const host = hostOf(header);
      assert.ok(host === address.toLowerCase() || host === undefined);
    }),
  );
});

test('own addresses, own names and configured names are own; nothing near them is', () => {
  const isOwn = createHostRule(['GPU.example.org', '203.0.113.5'], computer);
  const own = ['localhost', '127.0.0.1', '127.9.9.9', '::1', '192.168.1.7', 'fd00::7', 'fd00:0:0:0:0:0:0:7', 'fe80::1'];
  const named = ['box.lan', 'box.local', 'gpu.example.org', '203.0.113.5', '::ffff:127.0.0.1', '::ffff:192.168.1.7'];
  for (const host of [...own, ...named]) assert.equal(isOwn(host), true, host);
  const foreign = [
    'box',
    'box.lan.local',
    'x.gpu.example.org',
    '192.168.1.8',
    'fd00::8',
    '0.0.0.0',
    '::',
    '128.0.0.1',
    '',
  ];
  for (const host of foreign) assert.equal(isOwn(host), false, host);
});

test('NAME.local is the computer that is called NAME or NAME.local', () => {
  for (const hostName of ['box', 'BOX.local']) {
    assert.equal(createHostRule([], { ...computer, hostName: () => hostName })('box.local'), true, hostName);
  }
});

test('addresses are read again after a while: Wi-Fi roams', () => {
  let time = 1_000;
  let address = '10.0.0.1';
  const isOwn = createHostRule([], { ...computer, addresses: () => [address] }, () => time);
  assert.equal(isOwn('10.0.0.1'), true);
  address = '10.0.0.2';
  assert.equal(isOwn('10.0.0.2'), false);
  time += 6_000;
  assert.equal(isOwn('10.0.0.2'), true);
  assert.equal(isOwn('10.0.0.1'), false);
});
