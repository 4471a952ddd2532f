import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Pieces } from '../../../src/guard/body/pieces.ts';

test('the bytes come out as they came in', () => {
  const sizes = fc.array(fc.oneof(fc.nat({ max: 8 }), fc.constantFrom(1_023, 1_024, 3_000)), {
    minLength: 16,
    maxLength: 80,
  });
  fc.assert(
    fc.property(sizes, (all) => {
      const given = all.map((size, i) => Buffer.alloc(size, i + 1));
      const pieces = new Pieces();
      for (const piece of given) pieces.add(piece);
      assert.deepEqual(Buffer.concat(pieces.parts()), Buffer.concat(given));
      assert.equal(pieces.length, Buffer.concat(given).length);
    }),
  );
});

test('bytes that arrive one by one become few pieces', () => {
  const pieces = new Pieces();
  for (let i = 0; i < 100_000; i++) pieces.add(Buffer.from('a'));
  assert.ok(pieces.parts().length < 30);
});

test('a large piece is not copied', () => {
  const piece = Buffer.alloc(65_536);
  const pieces = new Pieces();
  pieces.add(piece);
  assert.deepEqual([pieces.parts().length, pieces.parts()[0] === piece], [1, true]);
});
