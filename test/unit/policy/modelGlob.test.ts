import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canName, denyingGlobOf, globMatches, globOf } from '../../../src/guard/policy/modelGlob.ts';
import { parseModelName } from '../../../src/guard/policy/modelName.ts';

/** By the definition, in exponential time. */
function naive(glob: string, text: string): boolean {
  if (glob === '') return text === '';
  const [first, rest] = [glob[0], glob.slice(1)];
  if (first === '*') return naive(rest, text) || (text !== '' && naive(glob, text.slice(1)));
  return text !== '' && (first === '?' || first === text[0]) && naive(rest, text.slice(1));
}

const names = (glob: string, raw: string): boolean => {
  const name = parseModelName(raw);
  assert.ok(name, raw);
  return globOf([glob], name) === glob;
};

test('a glob matches what its definition says', () => {
  let matches = 0;
  fc.assert(
    fc.property(fc.stringMatching(/^[ab*?]{0,7}$/), fc.stringMatching(/^[ab]{0,7}$/), (glob, text) => {
      const expected = naive(glob, text);
      if (expected) matches += 1;
      assert.equal(globMatches(glob, text), expected, `${glob} ${text}`);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(matches > 100, `${matches} matched`);
});

test('a glob of nothing but stars ends as soon as any other', () => {
  const text = 'a'.repeat(600);
  for (const glob of [
    '*a'.repeat(127),
    `${'*a'.repeat(127)}*b`,
    `${'*'.repeat(255)}b`,
    '*?'.repeat(128),
    'a*'.repeat(128),
  ]) {
    let steps = 0;
    // Counts every character that is looked at, in place of the time that it takes.
    const counted = new Proxy(Object(glob), {
      get: (target, key) => {
        steps += 1;
        return key === 'length' ? glob.length : target[key];
      },
    });
    globMatches(counted, text);
    assert.ok(steps <= 6 * glob.length * text.length, `${steps} for ${glob}`);
  }
});

test('a glob is held against the name as lists show it', () => {
  const yes: readonly (readonly [glob: string, name: string])[] = [
    ['*', 'x'],
    ['*', 'hf.co/a/b'],
    ['llama3.2', 'llama3.2:3b'],
    ['llama3.2', 'LLAMA3.2'],
    ['LLAMA3.2:3B', 'llama3.2:3b'],
    ['llama3*', 'llama3.2:3b'],
    ['llama3.?', 'llama3.2'],
    ['*:70b', 'llama3.3:70b'],
    ['x:latest', 'x'],
    ['library/x', 'x:7b'],
    ['registry.ollama.ai/library/x', 'x'],
    ['registry.ollama.ai/library/x:7b', 'x:7b'],
    ['Registry.Ollama.AI/Library/X*', 'xy'],
    ['registry.ollama.ai/team/*', 'team/x'],
    ['registry.ollama.ai/*', 'team/x'],
    ['library/*', 'x'],
    ['team/*', 'team/x:7b'],
    ['hf.co/*', 'hf.co/a/b:q4'],
    ['localhost:5000/a/b', 'localhost:5000/a/b:q4'],
    ['gpt-oss:20b', 'gpt-oss:20b-cloud'],
    ['gpt-oss:20b-cloud', 'gpt-oss:20b:cloud'],
    ['gpt-oss:20b:cloud', 'gpt-oss:20b-cloud'],
    ['gpt-oss:cloud', 'gpt-oss:cloud'],
    ['*-cloud', 'gpt-oss:20b:cloud'],
    ['*:cloud', 'gpt-oss:20b-cloud'],
    ['*-cloud', 'gpt-oss:cloud'],
  ];
  const no: readonly (readonly [glob: string, name: string])[] = [
    ['llama3.2:3b', 'llama3.2'],
    ['x:latest', 'x:7b'],
    ['x', 'xy'],
    ['x', 'team/x'],
    ['library/*', 'team/x'],
    ['library/*', 'hf.co/library/x'],
    ['registry.ollama.ai/*', 'hf.co/a/b'],
    ['registry.ollama.ai/library/*', 'team/x'],
    ['gpt-oss:20b-cloud', 'gpt-oss:20b'],
    ['*:cloud', 'gpt-oss:20b'],
    ['*-cloud', 'gpt-oss:20b'],
    ['gpt-oss:cloud', 'gpt-oss:20b-cloud'],
    ['registry.ollama.ai/', 'x'],
    ['library/', 'x'],
  ];
  for (const [glob, name] of yes) assert.ok(names(glob, name), `${glob} ${name}`);
  for (const [glob, name] of no) assert.ok(!names(glob, name), `${glob} ${name}`);
});

test('a glob that denies is held against the parts that go without saying too', () => {
  const denies = (glob: string, raw: string): boolean => {
    const name = parseModelName(raw);
    assert.ok(name, raw);
    return denyingGlobOf([glob], name) === glob;
  };
  const yes = ['*/library/secret', '*/*/secret*', '*.ollama.ai/library/secret', 'li?rary/secret', '*/secret:latest'];
  for (const glob of [...yes, 'registry.ollama.ai/*/secret', 'registry.ollama.ai/*', 'R*/L*/S*:L*']) {
    assert.ok(denies(glob, 'secret'), glob);
    assert.ok(!names(glob, 'secret') || glob === 'registry.ollama.ai/*', `${glob} allows no more than before`);
  }
  assert.ok(denies('*/library/x:7b', 'x:7b-cloud'));
  assert.ok(denies('*/library/x:*cloud', 'x:cloud'));
  // Without a slash it speaks of the model alone.
  for (const glob of ['r*', 'library*', 'registry.ollama.ai*', 'team/secret', '*/other', 'hf.co/*']) {
    assert.ok(!denies(glob, 'secret'), glob);
  }
  assert.ok(!denies('*/library/secret', 'team/secret'));
});

test('whatever names a model can name one', () => {
  const part = fc.constantFrom(
    'x',
    'library',
    'registry.ollama.ai',
    'hf.co',
    'a.b',
    '-x',
    '7b',
    'cloud',
    '7b-cloud',
    'A',
  );
  const text = fc
    .tuple(fc.array(part, { minLength: 1, maxLength: 4 }), fc.array(part, { maxLength: 2 }))
    .map(([path, tags]) => [path.join('/'), ...tags].join(':'));
  fc.assert(
    fc.property(text, text, (glob, raw) => {
      const name = parseModelName(raw);
      if (name !== undefined && globOf([glob], name) !== undefined) assert.ok(canName(glob));
      // A glob of `library/` means Ollama's own namespace, and no host of that name.
      if (name?.short === raw && name.host !== 'library') assert.ok(canName(raw), raw);
    }),
    { numRuns: 20_000 },
  );
  for (const glob of ['library/x/x', 'hf.co/x', 'library/library/x']) assert.ok(!canName(glob), glob);
});

test('of several globs the first that names a model is told, as it is written, however often a list is asked', () => {
  const globs = ['library/', 'Qwen*', 'X:7B', 'x'];
  const first = (raw: string, among: readonly string[] = globs): string | undefined => {
    const name = parseModelName(raw);
    assert.ok(name, raw);
    return globOf(among, name);
  };
  for (let times = 0; times < 3; times += 1) {
    assert.equal(first('x:7b'), 'X:7B');
    assert.equal(first('x:3b'), 'x');
    assert.equal(first('qwen3'), 'Qwen*');
    assert.equal(first('y'), undefined);
    assert.equal(first('y', ['y']), 'y');
    assert.equal(first('x', []), undefined);
  }
});
