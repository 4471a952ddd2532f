import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { addressKey, createFailedLogins, defaultFailedLoginLimits } from '../../../src/guard/admission/failedLogins.ts';

const second = 1_000;
const minute = 60 * second;
const attacker = '192.0.2.1';
const elsewhere = '198.51.100.7';

function create() {
  const clock = { time: Date.parse('2026-01-01T00:00:00Z') };
  const logins = createFailedLogins(defaultFailedLoginLimits, () => clock.time);
  const fail = (times: number, address = attacker, user: string | undefined = 'mia') => {
    for (let i = 0; i < times; i++) logins.record(address, user);
  };
  return { logins, fail, clock };
}

test('nine failures cost nothing, the tenth costs five seconds', () => {
  const { logins, fail, clock } = create();
  fail(9);
  assert.equal(logins.wait(attacker, 'mia'), 0);
  fail(1);
  assert.equal(logins.wait(attacker, 'mia'), 5 * second);
  clock.time += 5 * second;
  assert.equal(logins.wait(attacker, 'mia'), 0);
});

test('each further failure doubles the delay, up to a quarter of an hour', () => {
  const { logins, fail, clock } = create();
  fail(10);
  const delays: number[] = [];
  for (let i = 0; i < 10; i++) {
    clock.time += logins.wait(attacker, 'mia');
    fail(1);
    delays.push(logins.wait(attacker, 'mia') / second);
  }
  assert.deepEqual(delays, [10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
});

test('failures that are spread out are not an attack', () => {
  const { logins, fail, clock } = create();
  for (let i = 0; i < 100; i++) {
    fail(1);
    clock.time += 7 * second;
    assert.equal(logins.wait(attacker, 'mia'), 0);
  }
});

test('after an hour without a failure all is forgotten', async () => {
  const { logins, fail, clock } = create();
  fail(12);
  clock.time += 61 * minute;
  // The cache reads its clock once a millisecond.
  await sleep(5);
  fail(9);
  assert.equal(logins.wait(attacker, 'mia'), 0);
});

test('one address is counted over all names, and one name over all addresses', () => {
  const { logins } = create();
  for (let i = 0; i < 10; i++) logins.record(attacker, `user${i}`);
  assert.ok(logins.wait(attacker, 'another') > 0);
  const spread = create().logins;
  for (let i = 0; i < 10; i++) spread.record(`192.0.2.${i}`, 'mia');
  assert.ok(spread.wait('192.0.2.0', 'mia') > 0);
  assert.equal(spread.wait('192.0.2.0', 'vera'), 0);
});

test('SEC-55: an address that has not failed may try a name that is under attack', () => {
  const { logins, fail } = create();
  fail(50);
  assert.equal(logins.wait(elsewhere, 'mia'), 0);
  assert.equal(logins.wait(elsewhere, undefined), 0);
  fail(1, elsewhere, 'vera');
  assert.ok(logins.wait(elsewhere, 'mia') > 0, 'once it has failed, it has to wait as well');
});

test('SEC-55: loopback never waits longer than five seconds', () => {
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) {
    const { logins, fail } = create();
    fail(60, address);
    assert.equal(logins.wait(address, 'mia'), 5 * second, address);
  }
});

test('an IPv6 host has one count however it moves about in its /64', () => {
  const { logins } = create();
  for (let i = 0; i < 10; i++) logins.record(`2001:db8:1:2::${i.toString(16)}`, undefined);
  assert.ok(logins.wait('2001:db8:1:2:ffff:ffff:ffff:ffff', undefined) > 0);
  assert.equal(logins.wait('2001:db8:1:3::1', undefined), 0);
});

test('the key of an address does not depend on how it is written', () => {
  assert.equal(addressKey('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(addressKey('fe80::1%eth0'), addressKey('fe80:0:0:0:ffff::'));
  assert.equal(addressKey('::'), addressKey('::1'));
  assert.equal(addressKey('2001:DB8::'), addressKey('2001:0db8:0000:0000::9'));
  const group = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(fc.tuple(group, group, group, group), fc.tuple(group, group, group, group), (prefix, host) => {
      const plain = [...prefix, ...host].map((value) => value.toString(16)).join(':');
      const padded = [...prefix, ...host].map((value) => value.toString(16).padStart(4, '0').toUpperCase()).join(':');
      const short = new URL(`http://[${plain}]`).hostname.slice(1, -1);
      const key = prefix.map((value) => value.toString(16)).join(':');
      for (const spelling of [plain, padded, short]) {
        const mapped = /^::ffff:/i.test(spelling);
        if (!mapped) assert.equal(addressKey(spelling), key, spelling);
      }
    }),
  );
  fc.assert(fc.property(fc.ipV4(), (address) => addressKey(address) === address));
  fc.assert(fc.property(fc.string(), (text) => typeof addressKey(text) === 'string'));
});

test('as many addresses as may be do not grow the limiter without end', () => {
  const { logins } = create();
  for (let i = 0; i < 20_000; i++) logins.record(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, `user${i}`);
  assert.equal(logins.wait('10.0.78.31', 'user19999'), 0);
});
