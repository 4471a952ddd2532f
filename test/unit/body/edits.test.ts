import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { editBody } from '../../../src/guard/body/edits.ts';
import type { BodyEdit, CheckedBody } from '../../../src/guard/body/facts.ts';
import { inPieces, pieces } from '../usage/pieces.ts';
import { checked, factsOf } from './support.ts';

const textOf = ({ parts }: CheckedBody): string => Buffer.concat(parts).toString();

const edited = (text: string, edits: readonly BodyEdit[]): string => textOf(editBody(checked(text), edits));

/** What may be edited, and what it may become. */
const values: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  model: fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => text.isWellFormed()),
  keep_alive: fc.constantFrom('5m', -1, 0),
  insecure: fc.boolean(),
  max_tokens: fc.integer(),
  web_search_options: fc.constant({ search_context_size: 'low' }),
  'options.num_ctx': fc.integer(),
  'options.num_predict': fc.integer(),
  'options.é"': fc.jsonValue(),
};

const member = (path: string, value: unknown) => [path.replace('options.', ''), value] as const;

/** The object that a body must be after edits. */
function expected(before: Readonly<Record<string, unknown>>, edits: Readonly<Record<string, unknown>>) {
  const [inner, outer] = [true, false].map((isInner) =>
    Object.entries(edits).filter(([path]) => path.startsWith('options.') === isInner),
  );
  const options = Object.fromEntries((inner ?? []).map(([path, value]) => member(path, value)));
  const hasInner = Object.keys(options).length > 0;
  return {
    ...before,
    ...Object.fromEntries(outer ?? []),
    ...(hasInner && { options: { ...(before.options as object | null | undefined), ...options } }),
  };
}

test('JSON.parse finds the edits in place of what was there, and all the rest as it was', () => {
  const options = fc.record(
    { num_ctx: fc.integer(), stop: fc.array(fc.string()), 'é"': fc.jsonValue() },
    { requiredKeys: [] },
  );
  const body = fc.record(
    {
      model: values.model as fc.Arbitrary<unknown>,
      prompt: fc.string(),
      x: fc.jsonValue(),
      options: fc.option(options),
      keep_alive: fc.constantFrom(null, '1h', 5),
      web_search_options: fc.constantFrom(null, {}, { search_context_size: 'high' }),
      messages: fc.array(fc.record({ role: fc.string(), images: fc.array(fc.base64String()) }, { requiredKeys: [] })),
    },
    { requiredKeys: [] },
  );
  const space = fc.constantFrom('', ' ', '\t');
  fc.assert(
    fc.property(body, space, fc.record(values, { requiredKeys: [] }), pieces, (before, indent, wanted, sizes) => {
      const bytes = Buffer.from(JSON.stringify(before, undefined, indent));
      const edits = Object.entries(wanted).map(([path, value]) => ({ path, json: JSON.stringify(value) }));
      const after = editBody(checked(...inPieces(bytes, sizes)), edits);
      assert.deepEqual(JSON.parse(textOf(after)), JSON.parse(JSON.stringify(expected(before, wanted))));
      const { facts, parts, length } = after;
      assert.equal(length, Buffer.concat(parts).length);
      const { values: found, ...rest } = factsOf(...parts);
      assert.deepEqual(
        new Map([...facts.values].sort()),
        new Map([...found].sort()),
        'the facts are those of the new body',
      );
      assert.deepEqual({ ...facts, values: undefined }, { ...rest, values: undefined });
    }),
    { numRuns: 2_000 },
  );
});

test('a value is put over the one that is there, else in front of the others', () => {
  const numCtx = { path: 'options.num_ctx', json: '5' };
  const keepAlive = { path: 'keep_alive', json: '"5m"' };
  for (const [before, edits, after] of [
    ['{}', [keepAlive], '{"keep_alive":"5m"}'],
    [' { } ', [keepAlive], ' {"keep_alive":"5m" } '],
    ['{"x":1}', [keepAlive], '{"keep_alive":"5m","x":1}'],
    ['{"keep_alive" : 0 }', [keepAlive], '{"keep_alive" : "5m" }'],
    ['{}', [numCtx], '{"options":{"num_ctx":5}}'],
    ['{"options":null}', [numCtx], '{"options":{"num_ctx":5}}'],
    ['{"options":{ }}', [numCtx], '{"options":{"num_ctx":5 }}'],
    ['{"options":{"num_ctx":9}}', [numCtx], '{"options":{"num_ctx":5}}'],
    ['{"options":{"seed":1}}', [numCtx, keepAlive], '{"keep_alive":"5m","options":{"num_ctx":5,"seed":1}}'],
    ['{"x":1}', [numCtx, keepAlive], '{"keep_alive":"5m","options":{"num_ctx":5},"x":1}'],
    ['{"x":1}', [], '{"x":1}'],
  ] as const) {
    assert.equal(edited(before, edits), after);
  }
});

test('what is edited can be edited again', () => {
  const once = editBody(checked('{"options":{"num_ctx":100000}, "keep_alive":0}'), [
    { path: 'options.num_ctx', json: '5' },
    { path: 'model', json: '"é"' },
  ]);
  const twice = editBody(once, [
    { path: 'keep_alive', json: '"1h"' },
    { path: 'options.num_ctx', json: '12' },
    { path: 'model', json: '"b"' },
  ]);
  assert.equal(textOf(twice), '{"model":"b","options":{"num_ctx":12}, "keep_alive":"1h"}');
});

test('the body is not copied', () => {
  const body = checked(`{"prompt":"${'a'.repeat(1_000)}"}`, ' ');
  const [first] = body.parts;
  const { parts } = editBody(body, [{ path: 'model', json: '"b"' }]);
  assert.equal(parts.filter(({ buffer }) => buffer === first?.buffer).length >= 2, true);
  assert.equal(editBody(body, []), body);
});

test('an edit that would make the body ambiguous, or is no value for its path, is nobody’s', () => {
  const numCtx = { path: 'options.num_ctx', json: '5' };
  for (const edits of [
    [numCtx, numCtx],
    [numCtx, { path: 'options', json: '{}' }],
    [{ path: 'suffix', json: '"json"' }],
    [{ path: 'Model', json: '"a"' }],
    [{ path: 'model', json: '"a","model":"b"' }],
    [{ path: 'model', json: '"a"},{' }],
    [{ path: 'model', json: '5' }],
    [{ path: 'model', json: '' }],
  ]) {
    for (const text of ['{}', '{"options":{"num_ctx":1},"model":"a","suffix":"json"}']) {
      assert.throws(() => edited(text, edits), `${text} ${JSON.stringify(edits)}`);
    }
  }
});
