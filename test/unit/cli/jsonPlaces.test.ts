import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { JsonTextError, jsonPlaces, placeOf } from '../../../src/cli/jsonPlaces.ts';

function problemIn(text: string): JsonTextError | undefined {
  try {
    jsonPlaces(text);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof JsonTextError);
    return error;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('jsonPlaces', () => {
  it('says where members and items stand', () => {
    const text = '{\n  "a": [1,\n    {"b\\u0063": null}],\r\n  "d": {}\n}';
    const places = [...jsonPlaces(text)].map(([path, offset]) => [path, placeOf(text, offset)]);
    assert.deepEqual(places, [
      ['a', { line: 2, column: 3 }],
      ['a.0', { line: 2, column: 9 }],
      ['a.1', { line: 3, column: 5 }],
      ['a.1.bc', { line: 3, column: 6 }],
      ['d', { line: 4, column: 3 }],
    ]);
  });

  const wrong: readonly (readonly [text: string, column: number, says: RegExp])[] = [
    ['', 1, /value/],
    ['{"a":1', 7, /comma or }/],
    ['{"a" 1}', 6, /colon/],
    ['{"a":1,}', 8, /name in double quotes is expected here, after a comma\.$/],
    ['{"a":1, // one\n}', 9, /comments cannot/],
    ['{"a":1 // one\n}', 8, /A comma or } is expected here \(comments cannot/],
    ['{} // end', 4, /Nothing more .* \(comments cannot/],
    ["{'a':1}", 2, /name in double quotes/],
    ['{/* no */}', 2, /name in double quotes is expected here \(comments cannot be in it\)\.$/],
    ['[1,]', 4, /value/],
    ['[1 2]', 4, /comma or ]/],
    ['{"a":tru}', 6, /value/],
    ['[01]', 2, /value/],
    ['["\\x"]', 2, /value/],
    ['["\t"]', 2, /value/],
    ['{} {}', 4, /nothing more/i],
    ['{"a":1,"b":2,"\\u0061":3}', 14, /there twice/],
    ['['.repeat(1_000_000), 66, /deep/],
  ];
  for (const [text, column, says] of wrong) {
    it(`finds what is wrong in ${text.slice(0, 30)}`, () => {
      const problem = problemIn(text);
      assert.match(problem?.message ?? '', says);
      assert.deepEqual(placeOf(text, problem?.offset ?? 0), { line: 1, column });
    });
  }

  it('takes what JSON.parse takes, and nothing else', () => {
    const broken = fc
      .tuple(
        fc.json({ maxDepth: 4 }),
        fc.nat(),
        fc.nat(3),
        fc.constantFrom('', ',', '"', '{', ']', '0', '\\', '\n', 'e'),
      )
      .map(([text, at, length, put]) => {
        const start = at % (text.length + 1);
        return text.slice(0, start) + put + text.slice(start + length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.json(), broken), (text) => {
        const problem = problemIn(text);
        // What JSON.parse takes without a word.
        if (problem !== undefined && /twice/.test(problem.message)) return;
        assert.equal(problem === undefined, isJson(text), text);
      }),
      { numRuns: 2_000 },
    );
  });
});
