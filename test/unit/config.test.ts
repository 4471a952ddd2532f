import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endpointUrl, isLoopback, parseConfig } from '../../src/guard/config.ts';
import { GuardError } from '../../src/guard/errors.ts';

const base = { host: '127.0.0.1', port: 11435, upstream: 'http://127.0.0.1:11434' };

test('a configuration is completed with its defaults', () => {
  const config = parseConfig(base);
  assert.equal(config.maxBodyBytes, 64 * 1024 * 1024);
  assert.deepEqual([config.allowedHosts, config.allowedOrigins], [[], []]);
});

test('what is wrong is an error that names the field', () => {
  const wrong = {
    host: ['', 'a b', '127.0.0.1:80', 'http://x', '-a', 7],
    port: [-1, 65_536, 1.5, '80'],
    upstream: ['', 'localhost:11434', 'ftp://x', 'http://u:p@x', 'http://x/path', 'http://x?y', 'unix:/x'],
    allowedHosts: [['*'], ['a:80'], ['http://a'], 'a'],
    allowedOrigins: [['*'], ['null'], ['https://a/'], ['https://*.a'], ['HTTPS://A'], ['https://u@a']],
    maxBodyBytes: [0, -1],
    headersTimeoutMs: [0],
  };
  for (const [field, values] of Object.entries(wrong)) {
    for (const value of values) {
      assert.throws(
        () => parseConfig({ ...base, [field]: value }),
        (error) => GuardError.is(error, 'config-invalid') && error.message.startsWith(field),
        `${field} ${value}`,
      );
    }
  }
  assert.throws(() => parseConfig({ ...base, unknown: 1 }), /config|unknown/i);
});

test('the guard is not its own upstream', () => {
  const same = [
    { ...base, port: 11434 },
    { ...base, host: '0.0.0.0', port: 11434 },
    { ...base, host: 'localhost', port: 11434 },
    { ...base, port: 11434, upstream: 'http://localhost:11434' },
    { ...base, host: '::1', port: 80, upstream: 'http://[::1]' },
  ];
  for (const config of same) assert.throws(() => parseConfig(config), /upstream/, JSON.stringify(config));
  assert.ok(parseConfig({ ...base, host: '192.168.1.7', port: 11434 }));
});

test('knows loopback when it sees it', () => {
  for (const address of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1', 'localhost'])
    assert.ok(isLoopback(address));
  for (const address of ['0.0.0.0', '::', '192.168.1.7', '128.0.0.1', 'localhost.evil'])
    assert.ok(!isLoopback(address));
});

test('an IPv6 address stands in brackets', () => {
  assert.equal(endpointUrl('::1', 80), 'http://[::1]:80');
  assert.equal(endpointUrl('127.0.0.1', 80), 'http://127.0.0.1:80');
});
