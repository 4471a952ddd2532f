import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseModelName as demoModelName } from '../../../src/demo/modelName.ts';
import { parseModelName, parseStoredName } from '../../../src/guard/policy/modelName.ts';
import { parts, spellingOf } from './spellings.ts';

const home = { host: 'registry.ollama.ai', namespace: 'library' };

test('a name has its parts, and the form that lists show', () => {
  const known: readonly (readonly [raw: string, short: string, cloud: boolean])[] = [
    ['llama3.2', 'llama3.2:latest', false],
    ['LLAMA3.2:3B', 'llama3.2:3b', false],
    ['team/x', 'team/x:latest', false],
    ['hf.co/bartowski/Llama-3:Q4_K_M', 'hf.co/bartowski/llama-3:q4_k_m', false],
    ['localhost:5000/a/b', 'localhost:5000/a/b:latest', false],
    ['registry.ollama.ai/team/x:7b', 'team/x:7b', false],
    ['my-cloud-model', 'my-cloud-model:latest', false],
    ['x-cloud', 'x-cloud:latest', false],
    ['gpt-oss:20b-cloud', 'gpt-oss:20b-cloud', true],
    ['gpt-oss:20b:cloud', 'gpt-oss:20b-cloud', true],
    ['gpt-oss:CLOUD', 'gpt-oss:cloud', true],
    ['gpt-oss:latest-cloud', 'gpt-oss:cloud', true],
    ['hf.co/a/b:q4-cloud', 'hf.co/a/b:q4-cloud', true],
  ];
  for (const [raw, short, cloud] of known) {
    const name = parseModelName(raw);
    assert.equal(name?.short, short, raw);
    assert.equal(name?.cloud, cloud, raw);
  }
  assert.deepEqual(parseModelName('Gpt-OSS:20B:cloud'), {
    ...home,
    model: 'gpt-oss',
    tag: '20b',
    cloud: true,
    short: 'gpt-oss:20b-cloud',
  });
});

test('SEC-36: every spelling of a model is one name', () => {
  fc.assert(
    fc.property(
      parts.chain((model) => fc.tuple(fc.constant(model), spellingOf(model))),
      ([model, raw]) => {
        const name = parseModelName(raw);
        assert.ok(name, JSON.stringify(raw));
        const { host, namespace, model: base, tag, cloud } = name;
        assert.deepEqual({ host, namespace, model: base, tag }, model);
        assert.equal(cloud, false);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('the short form is a name, and its own short form', () => {
  fc.assert(
    fc.property(parts, fc.boolean(), (model, cloud) => {
      const raw = `${model.host}/${model.namespace}/${model.model}:${model.tag}${cloud ? ':cloud' : ''}`;
      const name = parseModelName(raw);
      assert.deepEqual(parseModelName(name?.short ?? ''), name);
      assert.equal(name?.cloud, cloud);
    }),
  );
});

test('SEC-36: what two readers could take for two names is none', () => {
  const odd = [
    ...['', ' ', ':', '/', 'x:', ':x', '/x', 'x/', 'a//b', 'a/b/c/d', '.x', '-x', 'x:.y', 'x y', 'x: 7b', 'x :7b'],
    ...['x:cloud:local', 'x:local:cloud', 'x:cloud:cloud', 'x:local:local', 'x:7b-cloud:cloud', 'x:7b-cloud-cloud'],
    ...['x:cloud-cloud', 'x:local-cloud', 'x:-cloud', 'x::cloud', 'x:7b:7b', 'x: cloud', 'x:cloud :local'],
    ...[
      'x@sha256:0a',
      'x:7b@sha256:0a',
      'x@7b',
      '@x',
      'a\\b',
      'x\u0000',
      'x\u0000:7b',
      'x\u007f',
      'x\u000b',
      '\ufeffx',
    ],
    ...['x\u0085', '\u00a0x', '\u2028x', 'ｘ', 'x\u212a', 'modeł', 'x%3a7b', 'x?', 'x#', '*', 'x*'],
    ...['ftp://h/n/m', '://h/n/m', 'https:///library/x', 'https://x', 'https://a/x', 'https://https://h/n/m'],
    ...['[::1]/a/b', '../a/b', 'a/../b', `${'x'.repeat(81)}`, `x:${'y'.repeat(81)}`, `${'n'.repeat(81)}/x`],
    ...[`${'h'.repeat(351)}/n/m`, `${' '.repeat(2_000)}x`],
  ];
  for (const raw of odd) assert.equal(parseModelName(raw), undefined, JSON.stringify(raw));
});

test('whatever the guard takes for a name, the demo reads as the same one', () => {
  const piece = fc.constantFrom(
    ...[
      'x',
      'X',
      'llama3.2',
      'team',
      'library',
      'registry.ollama.ai',
      'hf.co',
      'http',
      'https://',
      '://',
      '//',
      '/',
      ':',
    ],
    ...[
      'cloud',
      ':cloud',
      '-cloud',
      ':local',
      'local',
      '7b',
      'latest',
      '-',
      '_',
      '.',
      '@',
      ' ',
      '\n',
      '\u0000',
      'ſ',
      'K',
    ],
  );
  const raw = fc.oneof(
    { weight: 4, arbitrary: fc.array(piece, { maxLength: 9 }).map((pieces) => pieces.join('')) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    { weight: 2, arbitrary: parts.chain(spellingOf) },
  );
  let taken = 0;
  fc.assert(
    fc.property(raw, (text) => {
      const name = parseModelName(text);
      if (name === undefined) return;
      taken += 1;
      const demo = demoModelName(text);
      assert.equal(demo?.key, `${name.host}/${name.namespace}/${name.model}:${name.tag}`, JSON.stringify(text));
      assert.equal(demo?.cloud, name.cloud, JSON.stringify(text));
    }),
    { numRuns: 4_000 },
  );
  assert.ok(taken > 200, `${taken} were names`);
});

test('where Ollama does not cut the source off, :local names another model and is refused', () => {
  for (const raw of ['x:local', 'x:LOCAL', 'x:7b:local', 'x:local '])
    assert.equal(parseStoredName(raw), undefined, raw);
  assert.equal(parseStoredName('X')?.short, 'x:latest');
  assert.equal(parseStoredName('local')?.short, 'local:latest');
});
