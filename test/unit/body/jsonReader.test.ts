import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Value } from '../../../src/guard/body/facts.ts';
import { JsonReader } from '../../../src/guard/body/jsonReader.ts';
import { inPieces, pieces } from '../usage/pieces.ts';
import { counting, factsOf, read, refusalOf } from './support.ts';

const texts = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('llama3.2:1b', 'a"\\', '{"model":"x"}', '\\', 'é\u{1f600}'),
);
const numbers = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(1e300, -0));
const orNull = <T>(values: fc.Arbitrary<T>) => fc.option(values, { freq: 8 });

/** Values that may stand at the fields that decisions rely on. */
const reliedOn = {
  ...Object.fromEntries(
    ['model', 'name', 'source', 'destination', 'from', 'remote_host'].map((key) => [key, orNull(texts)]),
  ),
  insecure: orNull(fc.boolean()),
  ...Object.fromEntries(
    ['max_tokens', 'max_completion_tokens', 'max_output_tokens'].map((key) => [key, orNull(numbers)]),
  ),
  keep_alive: orNull(fc.oneof(texts, numbers)),
  options: orNull(
    fc.record(
      { num_ctx: orNull(numbers), num_predict: orNull(numbers), temperature: fc.jsonValue(), 'x.y': fc.jsonValue() },
      { requiredKeys: [] },
    ),
  ),
};
const reportedOnly = ['prompt', 'messages', 'modelfile', 'web_search_options'];
/** Known by their keys, of no use to a decision. */
const knownOnly = ['system', 'input', 'images', 'tools', 'files', 'adapters', 'stream_options'];

const json = fc.jsonValue({ stringUnit: 'binary' });
const bodies = fc
  .tuple(
    fc.record(reliedOn, { requiredKeys: [] }),
    fc.record(Object.fromEntries([...reportedOnly, ...knownOnly].map((key) => [key, json])), { requiredKeys: [] }),
    fc.dictionary(fc.constantFrom('suffix', 'x', 'mo"del', '\\', 'options.num_ctx', 'é', ''), json),
  )
  .map(([relied, reported, free]) => ({ ...free, ...reported, ...relied }));

/** What JSON.stringify makes of it, with white space and some letters as escapes. */
function written(value: unknown, space: string, escapes: boolean): string {
  const text = JSON.stringify(value, undefined, space);
  return escapes ? text.replaceAll(/"([a-z_]+)":/g, (_, key: string) => `"${[...key].map(escaped).join('')}":`) : text;
}

const escaped = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** Is what was found what JSON.parse finds there? */
function assertFound(bytes: Buffer, value: unknown, found: Value | undefined, path: string): void {
  if (value === undefined) {
    assert.equal(found, undefined, path);
    return;
  }
  assert.ok(found !== undefined, path);
  assert.equal(found.kind, kindOf(value), path);
  assert.deepEqual(JSON.parse(bytes.subarray(found.start, found.end).toString()), value, path);
  if (typeof value === 'object' && value !== null) {
    assert.equal(found.value, undefined, path);
    assert.equal(found.empty, Object.keys(value).length === 0, path);
  } else if (found.value !== undefined || found.kind !== 'string') assert.deepEqual(found.value, value, path);
}

test('it finds what JSON.parse finds, at the same places, wherever the body is cut', () => {
  fc.assert(
    fc.property(bodies, fc.constantFrom('', ' ', '\t'), fc.boolean(), pieces, (body, space, escapes, sizes) => {
      const bytes = Buffer.from(written(body, space, escapes));
      const parsed = JSON.parse(bytes.toString()) as Record<string, unknown>;
      const options = (parsed.options ?? {}) as Record<string, unknown>;
      const { values } = factsOf(...inPieces(bytes, sizes));
      assertFound(bytes, parsed, values.get(''), '');
      const relied = Object.keys(reliedOn);
      for (const key of [...relied, ...reportedOnly]) assertFound(bytes, parsed[key], values.get(key), key);
      for (const [key, value] of Object.entries(options)) {
        assertFound(bytes, value, values.get(`options.${key}`), `options.${key}`);
      }
      for (const key of relied) {
        if (key !== 'options' && key in parsed) assert.notEqual(values.get(key)?.value, undefined, key);
      }
      const named = [...values.keys()].filter((path) => path !== '' && !path.startsWith('options.'));
      assert.deepEqual(named.sort(), [...relied, ...reportedOnly].filter((key) => key in parsed).sort());
    }),
    { numRuns: 2_000 },
  );
});

test('it takes what JSON.parse takes for an object, and nothing else', () => {
  const bits = '{ } [ ] , : "a" "b" "c" 0 1 -1 1.5 1e5 01 1. .5 +1 - 1e tru true false null nul x';
  const soup = fc
    .array(fc.constantFrom(' ', ...bits.split(' ')), { maxLength: 12 })
    .map((all) => `{"k":${all.join('')}}`);
  const valid = fc.jsonValue({ stringUnit: fc.constantFrom('a', 'b') }).map((value) => JSON.stringify({ k: value }));
  const byte = fc.constantFrom(...'{}[],:"0123456789.eE+-truefalsn xyz');
  const spoiled = fc.tuple(valid, fc.nat(), fc.constantFrom(0, 1), byte).map(([text, at, skip, put]) => {
    const place = at % text.length;
    return text.slice(0, place) + put + text.slice(place + skip);
  });
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof(soup, valid, spoiled), pieces, (text, sizes) => {
      const refusal = refusalOf(...inPieces(Buffer.from(text), sizes));
      if (refusal === 'ambiguous-json' || refusal === 'bad-field') return;
      assert.equal(refusal, isObject(text) ? undefined : 'bad-json', text);
      if (refusal === undefined) taken += 1;
    }),
    { numRuns: 5_000 },
  );
  assert.ok(taken > 1_000);
});

function isObject(text: string): boolean {
  try {
    return kindOf(JSON.parse(text)) === 'object';
  } catch {
    return false;
  }
}

test('numbers are those of JSON.parse, wherever they are cut', () => {
  const number = fc.string({ unit: fc.constantFrom(...'0123456789-+.eE'), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.oneof(number, fc.double().map(String)), pieces, (text, sizes) => {
      const body = `{"options":{"x":${text}}}`;
      const outcome = read(...inPieces(Buffer.from(body), sizes));
      if (!isObject(body)) assert.deepEqual(outcome, { refusal: 'bad-json' });
      else assert.equal('facts' in outcome && outcome.facts.values.get('options.x')?.value, JSON.parse(text));
    }),
    { numRuns: 2_000 },
  );
});

test('no bytes make it throw, and it refuses the same wherever they are cut', () => {
  const example = Buffer.from(
    '{"model":"\\u006dé","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}],' +
      '"images":["QUJD"]}],"tools":[{"type":"a"}],"options":{"num_ctx":1e3,"stop":["a"]},"stream":false}',
  );
  const spots = fc.array(fc.tuple(fc.nat({ max: example.length - 1 }), fc.nat({ max: 255 })), { maxLength: 6 });
  const spoiled = spots.map((changes) => {
    const bytes = Buffer.from(example);
    for (const [at, byte] of changes) bytes[at] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(spoiled, fc.uint8Array().map(Buffer.from)), pieces, (bytes, sizes) => {
      assert.deepEqual(read(...inPieces(Buffer.from(bytes), sizes)), read(Buffer.from(bytes)));
    }),
    { numRuns: 5_000 },
  );
});

/** Where keys count, with a key that is known there. */
const levels: readonly (readonly [open: string, key: string, value: string, close: string])[] = [
  ['{', 'model', '"a"', '}'],
  ['{', 'messages', '[]', '}'],
  ['{', 'options', '{}', '}'],
  ['{', 'keep_alive', '0', '}'],
  ['{"options":{', 'num_ctx', '1', '}}'],
  ['{"options":{', 'mirostat', '1', '}}'],
  ['{"messages":[{},{', 'images', '[]', '}]}'],
  ['{"messages":[{"content":[{', 'image_url', '""', '}]}]}'],
  ['{"messages":[{"content":[{"image_url":{', 'url', '""', '}}]}]}'],
  ['{"messages":[{"content":[{"source":{', 'data', '""', '}}]}]}'],
  ['{"messages":[{"content":[{"content":[{"source":{', 'data', '""', '}}]}]}]}'],
  ['{"input":[{', 'content', '""', '}]}'],
  ['{"input":[{"content":[{', 'image_url', '""', '}]}]}'],
  ['{"tools":[{', 'type', '""', '}]}'],
  ['{"tools":[{"tools":[{', 'type', '""', '}]}]}'],
];

test('SEC-31: a key that differs from a known one in letter case alone is refused, in any spelling', () => {
  const spelling = (key: string) =>
    fc
      .array(
        fc.constantFrom<(letter: string) => string>(
          plain,
          upper,
          (l) => escaped(l),
          (l) => escaped(upper(l)),
        ),
        {
          minLength: key.length,
          maxLength: key.length,
        },
      )
      .map((ways) => ways.map((way, i) => way(key[i] ?? '')).join(''));
  const plain = (letter: string) => letter;
  const upper = (letter: string) => (letter === 'k' ? '\u212a' : letter === 's' ? '\u017f' : letter.toUpperCase());
  const cases = fc.constantFrom(...levels).chain((level) => fc.tuple(fc.constant(level), spelling(level[1])));
  fc.assert(
    fc.property(cases, pieces, ([[open, key, value, close], spelt], sizes) => {
      const text = `${open}"${spelt}":${value}${close}`;
      const isKnown = JSON.parse(`"${spelt}"`) === key;
      assert.equal(refusalOf(...inPieces(Buffer.from(text), sizes)), isKnown ? undefined : 'ambiguous-json', text);
    }),
    { numRuns: 2_000 },
  );
});

test('SEC-32: no key may be there twice where keys count, known or not, in any spelling', () => {
  for (const [open, key, value, close] of levels) {
    for (const name of [key, 'something']) {
      for (const twin of [name, [...name].map(escaped).join('')]) {
        const text = `${open}"${name}":${value},"x":1,"${twin}":${value}${close}`;
        assert.equal(refusalOf(text), 'ambiguous-json', text);
      }
    }
  }
});

test('where nothing is known, keys are free: schemas of tools, arguments, formats', () => {
  const free = '{"model":1,"Model":2,"model":3,"\\ud800":4}';
  for (const text of [
    `{"format":${free}}`,
    `{"tools":[{"type":"function","function":${free}}]}`,
    `{"messages":[{"tool_calls":[${free}]}]}`,
    `{"messages":[{"content":[{"type":"tool_use","input":${free}}]}]}`,
  ]) {
    assert.equal(refusalOf(text), undefined, text);
  }
});

test('SEC-38: nothing but white space comes after the object', () => {
  for (const rest of ['{}', '{"model":"b"}', '\0', 'x', ',', '}', ']', '"', '1', '\ufeff']) {
    assert.equal(refusalOf(`{"model":"a"}${rest}`), 'bad-json', rest);
    assert.equal(refusalOf('{"model":"a"}', rest), 'bad-json', rest);
  }
  assert.equal(refusalOf(' \r\n\t{"model":"a"} \r\n\t'), undefined);
});

test('what is not one object is refused at once', () => {
  for (const text of [
    '',
    ' ',
    '[]',
    '"a"',
    '1',
    'null',
    'true',
    '\ufeff{}',
    '\0{}',
    '--x',
    'a=b',
    '{',
    '{"a":1',
    '}',
  ]) {
    assert.equal(refusalOf(text), 'bad-json', text);
  }
  const reader = new JsonReader();
  reader.write(Buffer.from('[{'));
  assert.equal(reader.refusal, 'bad-json');
});

test('objects and arrays are at most 128 deep', () => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
  assert.equal(refusalOf(nested(128)), undefined);
  assert.equal(refusalOf(nested(129)), 'bad-json');
  assert.equal(refusalOf('{"a":'.repeat(1_000_000)), 'bad-json');
  const reader = new JsonReader();
  reader.write(Buffer.from(`{"a":${'['.repeat(128)}`));
  assert.equal(reader.refusal, 'bad-json', 'before there is more of it');
});

test('an object has at most 1,000 keys where they count, of at most 1,024 bytes', () => {
  const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":0`)}}`;
  assert.equal(refusalOf(keys(1_000)), undefined);
  assert.equal(refusalOf(keys(1_001)), 'bad-json');
  assert.equal(refusalOf(`{"format":${keys(1_001)}}`), undefined);
  assert.equal(refusalOf(`{"${'a'.repeat(1_024)}":0}`), undefined);
  assert.equal(refusalOf(`{"${'a'.repeat(1_025)}":0}`), 'bad-json');
  assert.equal(refusalOf(`{"format":{"${'a'.repeat(1_025)}":0}}`), undefined);
  const reader = new JsonReader();
  reader.write(Buffer.from(`{"${'a'.repeat(1_025)}`));
  assert.equal(reader.refusal, 'bad-json', 'before it is at its end');
});

test('a number is at most 512 bytes, wherever it is cut', () => {
  for (const place of ['format', 'options', 'max_tokens']) {
    const body = (length: number) => {
      const digits = '1'.padEnd(length, '0');
      return place === 'options' ? `{"options":{"x":0.${digits.slice(2)}}}` : `{"${place}":0.${digits.slice(2)}}`;
    };
    assert.equal(refusalOf(body(512)), undefined, place);
    for (const cut of [20, 500, 540]) {
      const [head, tail] = [body(1_000).slice(0, cut), body(1_000).slice(cut)];
      assert.equal(refusalOf(head, tail), place === 'max_tokens' && cut > 530 ? 'bad-field' : 'bad-json', place);
    }
  }
});

test('a key that is no text is refused where keys count', () => {
  assert.equal(refusalOf('{"\\ud800":0}'), 'bad-json');
  assert.equal(refusalOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x30, 0x7d])), 'bad-json');
  assert.equal(refusalOf('{"\\x":0}'), 'bad-json');
  assert.equal(refusalOf('{"a\nb":0}'), 'bad-json');
});

test('a field that decisions rely on has the type it must have', () => {
  const text = ['string', 'null'];
  const number = ['number', 'null'];
  const kindsOf = {
    ...Object.fromEntries(['model', 'name', 'source', 'destination', 'from', 'remote_host'].map((key) => [key, text])),
    ...Object.fromEntries(['insecure', 'stream'].map((key) => [key, ['boolean', 'null']])),
    ...Object.fromEntries(['max_tokens', 'max_completion_tokens', 'max_output_tokens'].map((key) => [key, number])),
    'options.num_ctx': number,
    'options.num_predict': number,
    keep_alive: ['string', 'number', 'null'],
    options: ['object', 'null'],
  };
  const good = ['""', '"a"', 'true', 'false', 'null', '0', '-1', '1.5', '1e9', '{}', '{"a":1}', '[]', '["a"]'];
  const bad = ['1e999', '-1e999', '"\\ud800"', `"${'a'.repeat(513)}"`];
  for (const [field, kinds] of Object.entries(kindsOf)) {
    for (const value of [...good, ...bad]) {
      const [outer, inner] = field.split('.');
      const body = inner === undefined ? `{"${outer}":${value}}` : `{"${outer}":{"${inner}":${value}}}`;
      const isTaken = good.includes(value) && kinds.includes(kindOf(JSON.parse(value)));
      assert.equal(refusalOf(body), isTaken ? undefined : 'bad-field', body);
    }
  }
});

test('a name is at most 512 bytes of UTF-8, and refused before its end otherwise', () => {
  const named = (bytes: Buffer) => [Buffer.from('{"model":"'), bytes, Buffer.from('"}')];
  assert.equal(factsOf(...named(Buffer.alloc(512, 'a'))).values.get('model')?.value, 'a'.repeat(512));
  assert.equal(refusalOf(...named(Buffer.from([0xc3, 0x28]))), 'bad-field');
  assert.equal(refusalOf(...named(Buffer.from([0xed, 0xa0, 0x80]))), 'bad-field');
  assert.equal(refusalOf(...named(Buffer.from('a\nb'))), 'bad-json');
  assert.equal(refusalOf(...named(Buffer.from('\\x41'))), 'bad-json');
  const reader = new JsonReader();
  for (let i = 0; i < 513; i++) reader.write(Buffer.from(i === 0 ? '{"model":"a' : 'a'));
  assert.equal(reader.refusal, 'bad-field');
});

test('a long prompt is reported without its text, an empty one with it', () => {
  assert.equal(factsOf('{"prompt":""}').values.get('prompt')?.value, '');
  const { values } = factsOf(`{"prompt":"${'a'.repeat(513)}","messages":[]}`);
  assert.deepEqual(values.get('prompt'), { kind: 'string', value: undefined, start: 10, end: 525 });
  assert.deepEqual(values.get('messages'), { kind: 'array', value: undefined, start: 537, end: 539, empty: true });
});

test('each tool is as long as what Go writes of an empty one', () => {
  for (const [text, tools] of [
    ['{"tools":[{},null,{"type":"a"}]}', 3],
    ['{"tools":[{"tools":[{},{}]}]}', 3],
    ['{"tools":[]}', 0],
  ] as const) {
    assert.equal(factsOf(text).textBytes, text.length + 100 * tools, text);
  }
});

test('images are counted wherever a dialect has them, in bytes as they are sent', () => {
  for (const [text, count, bytes] of [
    ['{"images":["QUJD","QQ=="]}', 2, 8],
    ['{"messages":[{"images":["QUJD"]},{"images":[]},{"images":["Q\\u0041"]}]}', 2, 11],
    ['{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:,a"}}]}]}', 1, 7],
    ['{"messages":[{"content":[{"type":"image_url","image_url":"data:,a"}]}]}', 1, 7],
    ['{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"QUJD"}}]}]}', 1, 4],
    ['{"messages":[{"content":[{"type":"image","source":{"type":"base64","data":"QUJD"}}]}]}', 1, 4],
    ['{"messages":[{"content":[{"type":"tool_result","content":[{"source":{"data":"QUJD"}}]}]}]}', 1, 4],
    ['{"messages":[{"content":[{"type":"image","source":{"type":"base64"}}]}]}', 1, 0],
    ['{"messages":[{"content":[{"content":[{"type":"image","source":{"data":null}},{"source":null}]}]}]}', 1, 0],
    ['{"input":[{"content":[{"type":"input_image","image_url":"data:,a"}]}]}', 1, 7],
    ['{"input":[{"type":"function_call_output","output":[{"type":"input_image","image_url":"data:,a"}]}]}', 1, 7],
    // Go reads bytes from a list of numbers as well.
    ['{"images":[[1,2,3]]}', 1, 7],
    ['{"images":null,"messages":[{"images":[null],"content":"data:"}],"x":{"images":["QUJD"]}}', 1, 0],
  ] as const) {
    const { images, textBytes } = factsOf(text);
    assert.deepEqual([images, textBytes], [{ count, bytes }, Buffer.byteLength(text) - bytes], text);
  }
});

test('the types of tools are found, also of those that stand for several', () => {
  const tools =
    '[{"type":"function"},{"type":"web\\u005fsearch"},{"type":"namespace","tools":[{"type":"x"}]},{},{"type":null}]';
  assert.deepEqual(factsOf(`{"tools":${tools}}`).toolTypes, ['function', 'web_search', 'namespace', 'x']);
  const many = (count: number) => `{"tools":[${Array.from({ length: count }, (_, i) => `{"type":"${i}"}`)}]}`;
  assert.equal(refusalOf(many(64)), undefined);
  assert.equal(refusalOf(many(65)), 'bad-field');
  assert.equal(refusalOf(`{"tools":[{"type":"web_search${' '.repeat(512)}"}]}`), 'bad-field');
  assert.equal(refusalOf('{"tools":[{"type":1}]}'), 'bad-field');
  assert.deepEqual(factsOf(`{"tools":[${'{"type":"function"},'.repeat(500)}{}]}`).toolTypes, ['function']);
});

test('no chunk makes it look at a byte more than a few times, whatever came before', () => {
  for (const [head, unit] of [
    ['{"a":[1', ',1'],
    ['{"a":["', '","'],
    ['{"a":[1', ',[]'],
    ['{"a":"', '\\"'],
    ['{"a":"', '\\'],
    ['{"a":"', 'a'],
    ['{"a":{"', '":1,"'],
    ['{"messages":[{}', ',{"role":1}'],
    ['{"tools":[{}', ',{"type":""}'],
    ['{', ' '],
  ] as const) {
    const reader = new JsonReader();
    reader.write(Buffer.from(head));
    const size = 4 * 1024;
    for (let i = 0; i < 5; i++) {
      const { chunk, count } = counting(Buffer.from(unit.repeat(size / unit.length)));
      reader.write(chunk);
      assert.equal(reader.refusal, undefined, unit);
      assert.ok(count() <= 4 * size, `${unit}: ${count()}`);
    }
  }
});

test('it holds nothing of a chunk: what it found stays when the bytes are gone', () => {
  const text = '{"model":"llama3.2:1b","keep_alive":"5m","tools":[{"type":"function"}],"options":{"num_ctx":4096}}';
  for (let cut = 1; cut < text.length; cut++) {
    const reader = new JsonReader();
    for (const chunk of [Buffer.from(text.slice(0, cut)), Buffer.from(text.slice(cut))]) {
      reader.write(chunk);
      chunk.fill('"');
    }
    assert.deepEqual(reader.end(), { facts: factsOf(text) });
  }
});
