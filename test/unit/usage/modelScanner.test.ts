import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { ModelScanner, watchModel } from '../../../src/guard/usage/modelScanner.ts';
import { inPieces, pieces } from './pieces.ts';

function scan(chunks: readonly Buffer[]): ModelScanner {
  const scanner = new ModelScanner();
  for (const chunk of chunks) scanner.write(chunk);
  return scanner;
}

const modelOf = (text: string): string | undefined => scan([Buffer.from(text)]).model;

test('it finds what JSON.parse finds, wherever the body is cut', () => {
  const names = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('llama3.2:1b', 'a"\\', '{"model":"x"}'),
  );
  const inner = fc.dictionary(fc.constantFrom('model', 'name', 'x', '\\', '"'), fc.oneof(names, fc.jsonValue()));
  const value = fc.oneof(names, names, fc.jsonValue(), inner);
  const key = fc.oneof(fc.constantFrom('model', 'name', 'Model', 'messages', 'mo"del', '\\'), fc.string());
  const body = fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name });
  const written = (entries: readonly (readonly [string, unknown])[], space: string) =>
    `{${entries.map(([name, member]) => `${JSON.stringify(name)}${space}:${space}${JSON.stringify(member)}`)}}`;
  const named = (member: unknown) => (typeof member === 'string' && member !== '' ? member : undefined);
  fc.assert(
    fc.property(body, fc.constantFrom('', ' ', '\r\n\t'), pieces, (entries, space, sizes) => {
      const text = written(entries, space);
      const { model, name } = JSON.parse(text) as Record<string, unknown>;
      const expected = named(model) ?? named(name);
      fc.pre(Buffer.byteLength(JSON.stringify(expected) ?? '') <= 258);
      const scanner = scan(inPieces(Buffer.from(text), sizes));
      assert.equal(scanner.model, expected);
      assert.equal(scanner.done, true);
    }),
    { numRuns: 2_000 },
  );
});

test('it takes nothing from deeper down, from strings, or from keys that only look alike', () => {
  assert.equal(modelOf('{"options":{"model":"a"},"messages":[{"model":"b"}],"model":"c"}'), 'c');
  assert.equal(modelOf('{"prompt":"\\"model\\":\\"a\\"","model":"c"}'), 'c');
  assert.equal(modelOf('{"x":"model","y":"name","model":"c"}'), 'c');
  assert.equal(modelOf('{"model":["a"],"name":"n"}'), 'n');
  assert.equal(modelOf('{"mod\\u0065l":"c"}'), 'c');
  assert.equal(modelOf('{"model":5}'), undefined);
});

test('it stops as soon as it has found the model', () => {
  const scanner = scan([Buffer.from('{"name":"n","model":"m"')]);
  assert.deepEqual([scanner.done, scanner.model], [true, 'm']);
});

test('it gives up quietly on what is no JSON object', () => {
  for (const text of [
    '--boundary\r\n',
    '[{"model":"a"}]',
    '"model"',
    'model=a',
    '\ufeff{"model":"a"}',
    '}',
    ']',
    'null',
  ]) {
    const scanner = scan([Buffer.from(text)]);
    assert.deepEqual([scanner.done, scanner.model], [true, undefined], text);
  }
  assert.equal(modelOf('{"model":"\\x"}'), undefined);
});

test('a name of more than 256 bytes is nobody’s model', () => {
  assert.equal(modelOf(`{"model":"${'a'.repeat(256)}"}`)?.length, 256);
  assert.equal(modelOf(`{"model":"${'a'.repeat(257)}"}`), undefined);
});

test('a body that is all structure is left alone after a while', () => {
  for (const text of ['{"a":[', '{"a":["', '{"a":"\\"']) {
    const scanner = new ModelScanner();
    scanner.write(Buffer.from(text));
    const rest = Buffer.alloc(64 * 1024, text.endsWith('"') ? '","' : '[');
    for (let i = 0; i < 20 && !scanner.done; i++) scanner.write(rest);
    assert.equal(scanner.done, true, text);
  }
});

test('a body of many short strings is left alone sooner: each of them takes as much as a hundred bytes', () => {
  const scanner = scan([Buffer.from(`{${'"",'.repeat(8 * 1024)}`)]);
  assert.deepEqual([scanner.done, scanner.model], [true, undefined]);
  assert.equal(modelOf(`{"images":[${'"",'.repeat(8 * 1024)}""],"model":"llava"}`), 'llava');
});

test('an image in front of the model is jumped over', () => {
  const image = Buffer.alloc(20 * 1024 * 1024, 'QUJD');
  assert.equal(scan([Buffer.from('{"images":["'), image, Buffer.from('"],"model":"llava"}')]).model, 'llava');
});

test('watching takes nothing from the reader, and ends when the model was found', async () => {
  const body = new PassThrough();
  const reader = new PassThrough();
  body.pipe(reader);
  const models: string[] = [];
  watchModel(body, (model) => models.push(model));
  const listeners = body.listenerCount('data');
  body.write('{"model":"m",');
  body.write('"model":"x"');
  body.end('}');
  assert.equal(Buffer.concat(await reader.toArray()).toString(), '{"model":"m","model":"x"}');
  assert.deepEqual(models, ['m']);
  assert.equal(body.listenerCount('data'), listeners - 1 - 1, 'neither the scanner nor the pipe listens any more');
});
