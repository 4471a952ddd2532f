import fc from 'fast-check';

/** Sizes of the pieces in which bytes arrive. */
export const pieces = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 40 });

/** Cuts bytes into pieces of these sizes, over and over. */
export function inPieces(bytes: Buffer, sizes: readonly number[]): readonly Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    all.push(bytes.subarray(at, at + size));
    at += size;
  }
  return all;
}
