import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseGoDuration } from '../../../src/guard/policy/goDuration.ts';

test('durations are read as Go reads them', () => {
  const second = 1e9;
  const durations: readonly (readonly [text: string, ns: number])[] = [
    ['0', 0],
    ['+0', 0],
    ['-0', 0],
    ['0s', 0],
    ['-0s', 0],
    ['5s', 5 * second],
    ['+5s', 5 * second],
    ['-5s', -5 * second],
    ['5m', 300 * second],
    ['1h30m', 5_400 * second],
    ['-1m', -60 * second],
    ['1.5h', 5_400 * second],
    ['300ms', 0.3 * second],
    ['5.s', 5 * second],
    ['.5s', 0.5 * second],
    ['-.5s', -0.5 * second],
    ['1ns', 1],
    ['0.1ns', 0],
    ['-0.9ns', 0],
    ['11us', 11_000],
    ['12µs', 12_000],
    ['12μs', 12_000],
    ['3h2m1s4ms5us6ns', 10_921_004_005_006],
    ['1s1s', 2 * second],
    ['0.100000000000000000000h', 360 * second],
    ['0.9223372036854775807h', 3_320_413_933_267],
    ['2562047h', 2_562_047 * 3_600 * second],
  ];
  for (const [text, ns] of durations) assert.equal(parseGoDuration(text), ns, text);
});

test('what Go does not take is no duration', () => {
  for (const text of [
    '',
    '3',
    '-1',
    '-',
    '+',
    's',
    '.',
    '-.',
    '.s',
    '+.s',
    '1d',
    '1w',
    '5 m',
    ' 5m',
    '5m ',
    '5m\n',
    '--5m',
    '3m-2s',
    '1..5s',
    '1.5.5s',
    '1e3s',
    '5M',
    '\u0665m',
    '5m0',
    '0x5s',
    'NaN',
    'Infinitys',
    '2562048h',
    '9223372036854775808ns',
    `${'0'.repeat(200)}5m`,
  ]) {
    assert.equal(parseGoDuration(text), undefined, text);
  }
});

test('parts add up, whatever they are', () => {
  const unit = fc.constantFrom(['ns', 1], ['us', 1e3], ['ms', 1e6], ['s', 1e9], ['m', 60e9], ['h', 3_600e9]);
  const parts = fc.array(fc.tuple(fc.nat(999), unit), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(parts, (written) => {
      const text = written.map(([count, [name]]) => `${count}${name}`).join('');
      const ns = written.reduce((sum, [count, [, unitNs]]) => sum + count * Number(unitNs), 0);
      assert.equal(parseGoDuration(text), ns);
      assert.equal(parseGoDuration(`-${text}`), 0 - ns);
    }),
  );
});
