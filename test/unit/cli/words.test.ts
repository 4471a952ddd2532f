import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { durationText, sizeWords } from '../../../src/cli/words.ts';
import { parseDuration } from '../../../src/guard/share/duration.ts';

describe('durationText', () => {
  for (const text of ['1s', '90s', '10m', '1h', '36h', '1d', '2w', '99999s', '99999w']) {
    it(`writes ${text} as it is read`, () => {
      assert.equal(durationText(parseDuration(text) ?? Number.NaN), text);
    });
  }

  it('takes the largest unit, and 0 for none', () => {
    assert.deepEqual([600_000, 3_600_000 * 48, 0].map(durationText), ['10m', '2d', '0']);
  });
});

describe('sizeWords', () => {
  it('takes the largest unit that the size is whole in', () => {
    const sizes = [64 * 1024 ** 3, 1024 ** 4, 1536, 1000, 20 * 1024 ** 2, 0];
    assert.deepEqual(sizes.map(sizeWords), ['64 GiB', '1 TiB', '1536 bytes', '1000 bytes', '20 MiB', '0 bytes']);
  });
});
