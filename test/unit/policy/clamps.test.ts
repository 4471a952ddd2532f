import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BodyEdit, BodyFacts, Kind, Value } from '../../../src/guard/body/facts.ts';
import { clampBody } from '../../../src/guard/policy/clamps.ts';
import { parseGoDuration } from '../../../src/guard/policy/goDuration.ts';
import type { Clamps } from '../../../src/guard/policy/policyDocument.ts';

type Body = Readonly<Record<string, unknown>>;

function kindOf(value: unknown): Kind {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : (typeof value as Kind);
}

function readValue(value: unknown): Value {
  const kind = kindOf(value);
  const place = { kind, start: 0, end: 0 };
  if (kind !== 'array' && kind !== 'object') return { ...place, value: value as Value['value'] };
  return { ...place, value: undefined, empty: Object.keys(value as object).length === 0 };
}

/** What the guard would have read in a body. */
function factsOf(body: Body, images: BodyFacts['images'] = { count: 0, bytes: 0 }): BodyFacts {
  const options = Object.entries((body.options ?? {}) as Body).map(
    ([name, value]) => [`options.${name}`, value] as const,
  );
  const values = new Map([...Object.entries(body), ...options].map(([path, value]) => [path, readValue(value)]));
  return { values, images, toolTypes: [], textBytes: JSON.stringify(body).length };
}

/** The body with its edits made. */
function edited(body: Body, edits: readonly BodyEdit[]): Body {
  const copy: Record<string, unknown> = structuredClone(body);
  for (const { path, json } of edits) {
    if (!path.startsWith('options.')) copy[path] = JSON.parse(json);
    else copy.options = { ...(copy.options as Body), [path.slice('options.'.length)]: JSON.parse(json) };
  }
  return copy;
}

/** What becomes of a body: the body and the paths that are reported, or why it is refused and by which rule. */
function outcome(clamps: Clamps, path: string, body: Body, images?: BodyFacts['images']): unknown {
  const result = clampBody(clamps, path, factsOf(body, images));
  if ('refusal' in result) return [result.refusal, result.rule.place, result.rule.says];
  return [edited(body, result.edits), result.clamped];
}

const untouched = (body: Body) => [body, []];

test('what is within the clamps is not touched, nor what is not clamped', () => {
  const body = { keep_alive: '5m', options: { num_ctx: 8_192, num_predict: 100, seed: 1 }, messages: [{}] };
  const clamps: Clamps = {
    keepAlive: { min: '1m', max: '1h' },
    contextTokens: 8_192,
    outputTokens: 100,
    images: 0,
    options: ['num_ctx', 'seed'],
  };
  assert.deepEqual(outcome(clamps, '/api/chat', body), untouched(body));
  assert.deepEqual(outcome({ ...clamps, excess: 'refuse' }, '/api/chat', body), untouched(body));
  const much = { keep_alive: -1, options: { num_ctx: 1e6, num_predict: -1, 'a b': [] } };
  assert.deepEqual(outcome({}, '/api/chat', much, { count: 9, bytes: 9 }), untouched(much));
});

test('keep_alive, in whichever form, is held between its bounds', () => {
  const clamps: Clamps = { keepAlive: { min: '1m', max: '1h' } };
  const most: readonly unknown[] = [-1, -1e-12, '-1m', '-1ns', 3_601, '61m', '1h0m1s', '1h1ns', '100h', 9e9];
  const least: readonly unknown[] = [0, -0, '0', '0s', '-0s', '-0.1ns', 59.9, 1e-12, '300ms', '59s', '.5m'];
  const within: readonly unknown[] = [60, 3_600, '1m', '1h', '60s', '1.5m', '59m59s', null];
  for (const path of ['/api/generate', '/api/chat', '/api/embed', '/api/embeddings']) {
    const body = { prompt: 'x', messages: [{}] };
    for (const value of most) {
      const bound = [{ ...body, keep_alive: 3_600 }, ['keep_alive']];
      assert.deepEqual(outcome(clamps, path, { ...body, keep_alive: value }), bound, String(value));
      const refused = ['over-clamp', 'clamps.keepAlive.max', '1h'];
      assert.deepEqual(outcome({ ...clamps, excess: 'refuse' }, path, { ...body, keep_alive: value }), refused);
    }
    for (const value of least) {
      const bound = [{ ...body, keep_alive: 60 }, ['keep_alive']];
      assert.deepEqual(outcome(clamps, path, { ...body, keep_alive: value }), bound, String(value));
      const refused = ['over-clamp', 'clamps.keepAlive.min', '1m'];
      assert.deepEqual(outcome({ ...clamps, excess: 'refuse' }, path, { ...body, keep_alive: value }), refused);
    }
    for (const value of within) {
      const kept = { ...body, keep_alive: value };
      assert.deepEqual(outcome(clamps, path, kept), untouched(kept), String(value));
    }
    assert.deepEqual(outcome(clamps, path, body), untouched(body), 'what is not there stays away');
  }
});

test('a keep_alive that Ollama would not take, or would take for another, is refused', () => {
  // 1e10 seconds do not fit into Go's nanoseconds: with most processors they turn negative, and the model goes.
  for (const value of ['-1', '5', '', 'forever', '1d', true, [], {}, 1e10, 1e300, Number.POSITIVE_INFINITY]) {
    const refused = outcome({ keepAlive: { min: '1m' } }, '/api/embed', { keep_alive: value });
    assert.deepEqual(refused, ['bad-field', 'clamps.keepAlive', '{"min":"1m"}'], String(value));
  }
});

test('a keep_alive of one bound knows no other', () => {
  const least = { keepAlive: { min: '1m' } };
  for (const value of [-1, '-1m', '1000h']) {
    assert.deepEqual(outcome(least, '/api/embed', { keep_alive: value }), untouched({ keep_alive: value }));
  }
  const most = { keepAlive: { max: '0' } };
  assert.deepEqual(outcome(most, '/api/embed', { keep_alive: 0 }), untouched({ keep_alive: 0 }));
  assert.deepEqual(outcome(most, '/api/embed', { keep_alive: '1s' }), [{ keep_alive: 0 }, ['keep_alive']]);
});

test('a policy that contradicts itself, or names an age, stays within what Ollama can hold', () => {
  const upsideDown = { keepAlive: { min: '1h', max: '1m' } };
  for (const value of [0, '30s', '30m', -1]) {
    const body = { prompt: 'x', keep_alive: value };
    assert.deepEqual(outcome(upsideDown, '/api/embed', body), [{ ...body, keep_alive: 60 }, ['keep_alive']]);
  }
  const age = outcome({ keepAlive: { max: '99999w' } }, '/api/embed', { keep_alive: -1 });
  assert.deepEqual(age, [{ keep_alive: 9_000_000_000 }, ['keep_alive']]);
});

test('SEC-39: nobody unloads, pins or thrashes a shared model who may not', () => {
  const shared: Clamps = { keepAlive: { min: '1m', max: '1h' }, contextTokens: 8_192, options: ['temperature'] };
  const unload = ['unload-not-permitted', 'clamps.keepAlive.min', '1m'];
  for (const excess of ['clamp', 'refuse'] as const) {
    for (const keep_alive of [0, '0', '0s', '-0', 1e-12, '0.1ns']) {
      for (const prompt of [{}, { prompt: '' }, { prompt: null }]) {
        assert.deepEqual(outcome({ ...shared, excess }, '/api/generate', { keep_alive, ...prompt }), unload);
      }
      for (const messages of [{}, { messages: [] }, { messages: null }, { prompt: 'x' }]) {
        assert.deepEqual(outcome({ ...shared, excess }, '/api/chat', { keep_alive, ...messages }), unload);
      }
    }
  }
  // With something to answer, the model stays as long as it has to.
  const asked = outcome(shared, '/api/generate', { prompt: 'x', keep_alive: 0 });
  assert.deepEqual(asked, [{ prompt: 'x', keep_alive: 60 }, ['keep_alive']]);
  const embedded = outcome(shared, '/api/embed', { keep_alive: 0 });
  assert.deepEqual(embedded, [{ keep_alive: 60 }, ['keep_alive']]);
  // A call that loads the model pins it for no longer than any other.
  assert.deepEqual(outcome(shared, '/api/generate', { keep_alive: -1 }), [{ keep_alive: 3_600 }, ['keep_alive']]);
  assert.deepEqual(outcome(shared, '/api/chat', { messages: [{}], options: { num_ctx: 131_072, num_gpu: 0 } }), [
    { messages: [{}], options: { num_ctx: null, num_gpu: null } },
    ['options.num_ctx', 'options.num_gpu'],
  ]);
  // Who may unload, may.
  for (const keepAlive of [{ max: '1h' }, { min: '0', max: '1h' }]) {
    assert.deepEqual(outcome({ keepAlive }, '/api/generate', { keep_alive: 0 }), untouched({ keep_alive: 0 }));
  }
});

test('num_ctx is cut down to its clamp, or refused', () => {
  const clamps: Clamps = { contextTokens: 8_192 };
  const over = { options: { num_ctx: 8_193, seed: 1 } };
  const cut = [{ options: { num_ctx: 8_192, seed: 1 } }, ['options.num_ctx']];
  assert.deepEqual(outcome(clamps, '/api/chat', over), cut);
  assert.deepEqual(outcome({ ...clamps, excess: 'clamp' }, '/api/embed', over), cut);
  const refused = ['over-clamp', 'clamps.contextTokens', '8192'];
  assert.deepEqual(outcome({ ...clamps, excess: 'refuse' }, '/api/chat', over), refused);
  for (const num_ctx of [8_192, 0, -1, null]) {
    assert.deepEqual(outcome(clamps, '/api/chat', { options: { num_ctx } }), untouched({ options: { num_ctx } }));
  }
  for (const num_ctx of ['131072', true, [1], {}]) {
    const bad = ['bad-field', 'clamps.contextTokens', '8192'];
    assert.deepEqual(outcome(clamps, '/api/chat', { options: { num_ctx } }), bad);
  }
});

/** The bound on the answer as each path has it. */
const outputs: readonly (readonly [path: string, body: (bound: unknown) => Body, field: string])[] = [
  ['/api/generate', (num_predict) => ({ options: { num_predict } }), 'options.num_predict'],
  ['/api/chat', (num_predict) => ({ options: { num_predict } }), 'options.num_predict'],
  ['/v1/chat/completions', (max_tokens) => ({ max_tokens }), 'max_tokens'],
  ['/v1/completions', (max_tokens) => ({ max_tokens }), 'max_tokens'],
  ['/v1/messages', (max_tokens) => ({ max_tokens }), 'max_tokens'],
  ['/v1/responses', (max_output_tokens) => ({ max_output_tokens }), 'max_output_tokens'],
];

test('the length of an answer is cut down to its clamp, or refused, in every dialect', () => {
  const refuse: Clamps = { outputTokens: 100, excess: 'refuse' };
  for (const [path, body, field] of outputs) {
    // 0.5 is 0 to Ollama, 0 is no bound to its runner, and neither is what does not fit into 32 bits.
    for (const bound of [101, 1e6, -1, -2, 0, 0.5, -0.5, 2 ** 31, 1e300, Number.POSITIVE_INFINITY]) {
      assert.deepEqual(outcome({ outputTokens: 100 }, path, body(bound)), [body(100), [field]], `${path} ${bound}`);
      assert.deepEqual(outcome(refuse, path, body(bound)), ['over-clamp', 'clamps.outputTokens', '100'], path);
    }
    for (const bound of [1, 99, 99.9, 100, 100.5]) {
      assert.deepEqual(outcome({ outputTokens: 100 }, path, body(bound)), untouched(body(bound)), path);
      assert.deepEqual(outcome(refuse, path, body(bound)), untouched(body(bound)), path);
    }
    for (const bound of ['50', true, [], {}]) {
      assert.deepEqual(outcome(refuse, path, body(bound)), ['bad-field', 'clamps.outputTokens', '100'], path);
    }
  }
});

test('an answer without a bound gets one, which is neither refused nor reported', () => {
  for (const [path, body] of outputs) {
    for (const excess of ['clamp', 'refuse'] as const) {
      assert.deepEqual(outcome({ outputTokens: 100, excess }, path, {}), [body(100), []], path);
      assert.deepEqual(outcome({ outputTokens: 100, excess }, path, body(null)), [body(100), []], path);
    }
  }
  for (const path of ['/api/embed', '/api/embeddings', '/v1/embeddings', '/v1/audio/transcriptions', '/api/show']) {
    assert.deepEqual(outcome({ outputTokens: 100 }, path, {}), untouched({}), path);
  }
});

test('a bound in the field that Ollama does not read is put into the one that it does', () => {
  const path = '/v1/chat/completions';
  const bounded = (body: Body) => outcome({ outputTokens: 100 }, path, body);
  assert.deepEqual(bounded({ max_completion_tokens: 7 }), [{ max_completion_tokens: 7, max_tokens: 7 }, []]);
  assert.deepEqual(bounded({ max_completion_tokens: 700 }), [
    { max_completion_tokens: 100, max_tokens: 100 },
    ['max_completion_tokens'],
  ]);
  assert.deepEqual(bounded({ max_completion_tokens: 7, max_tokens: 700 }), [
    { max_completion_tokens: 7, max_tokens: 100 },
    ['max_tokens'],
  ]);
  assert.deepEqual(bounded({ max_completion_tokens: 7, max_tokens: -1 }), [
    { max_completion_tokens: 7, max_tokens: 100 },
    ['max_tokens'],
  ]);
});

test('too many images, or too large ones, are always refused', () => {
  const clamps: Clamps = { images: 2, imageBytes: 1_000 };
  for (const excess of ['clamp', 'refuse'] as const) {
    const of = (count: number, bytes: number) => outcome({ ...clamps, excess }, '/api/chat', {}, { count, bytes });
    assert.deepEqual(of(2, 1_000), untouched({}));
    assert.deepEqual(of(3, 10), ['over-clamp', 'clamps.images', '2']);
    assert.deepEqual(of(1, 1_001), ['over-clamp', 'clamps.imageBytes', '1000']);
  }
  assert.deepEqual(outcome({ images: 0 }, '/v1/messages', {}, { count: 1, bytes: 1 }), [
    'over-clamp',
    'clamps.images',
    '0',
  ]);
});

test('options that are not listed are set to null, which Ollama skips, or refused', () => {
  const clamps: Clamps = { options: ['temperature', 'seed'] };
  const body = { options: { temperature: 1, num_gpu: 0, stop: ['x'], use_mmap: false, mirostat: null } };
  assert.deepEqual(outcome(clamps, '/api/generate', body), [
    { options: { temperature: 1, num_gpu: null, stop: null, use_mmap: null, mirostat: null } },
    ['options.num_gpu', 'options.stop', 'options.use_mmap'],
  ]);
  const refused = ['over-clamp', 'clamps.options', 'temperature seed'];
  assert.deepEqual(outcome({ ...clamps, excess: 'refuse' }, '/api/generate', body), refused);
  assert.deepEqual(outcome({ options: [] }, '/api/chat', { options: { seed: 1 } }), [
    { options: { seed: null } },
    ['options.seed'],
  ]);
});

test('a model that is made is held to the same by its parameters, and refused: cut, it would be another', () => {
  const clamps: Clamps = { contextTokens: 8_192, outputTokens: 100, options: ['num_ctx', 'stop'] };
  const made = (values: Body, more: Clamps = {}) => {
    const parameters = Object.entries(values).map(([name, value]) => [`parameters.${name}`, value]);
    return outcome({ ...clamps, ...more }, '/api/create', { model: 'x', ...Object.fromEntries(parameters) });
  };
  for (const excess of ['clamp', 'refuse'] as const) {
    const over = (place: string, says: string) => ['over-clamp', `clamps.${place}`, says];
    assert.deepEqual(made({ num_ctx: 8_193 }, { excess }), over('contextTokens', '8192'));
    for (const num_predict of [101, -1, 0]) {
      assert.deepEqual(made({ num_predict }, { excess }), over('outputTokens', '100'));
    }
    assert.deepEqual(made({ num_gpu: 0 }, { excess }), over('options', 'num_ctx stop'));
    for (const within of [{}, { num_ctx: 8_192, num_predict: 100, stop: ['x'] }, { num_ctx: null, num_gpu: null }]) {
      const body = Object.fromEntries(Object.entries(within).map(([name, value]) => [`parameters.${name}`, value]));
      assert.deepEqual(made(within, { excess }), untouched({ model: 'x', ...body }));
    }
  }
  for (const odd of ['131072', [131_072], true, {}]) {
    assert.deepEqual(made({ num_ctx: odd }), ['bad-field', 'clamps.contextTokens', '8192']);
    assert.deepEqual(made({ num_predict: odd }), ['bad-field', 'clamps.outputTokens', '100']);
  }
  // Ollama reads each in its place alone.
  const options = { model: 'x', options: { num_ctx: 1e6, num_gpu: 0 } };
  assert.deepEqual(outcome(clamps, '/api/create', options), untouched(options));
  const asked = { 'parameters.num_ctx': 1e6, 'parameters.num_gpu': 0, options: { num_predict: 1 } };
  assert.deepEqual(outcome(clamps, '/api/chat', asked), untouched(asked));
});

test('the length of an answer is no option: a shorter answer stays short', () => {
  const body = { options: { num_predict: 5 } };
  assert.deepEqual(outcome({ options: [] }, '/api/chat', body), untouched(body));
  assert.deepEqual(outcome({ options: [], excess: 'refuse' }, '/api/chat', body), untouched(body));
  const long = { options: { num_predict: 500 } };
  assert.deepEqual(outcome({ options: [], outputTokens: 9 }, '/api/chat', long), [
    { options: { num_predict: 9 } },
    ['options.num_predict'],
  ]);
});

test('what is reported fits into a header, whatever names a client makes up', () => {
  const names = ['a b', 'x\r\ny: z', 'é', 'a,b', '', 'x'.repeat(100), 'constructor', '__proto__'];
  const options = Object.fromEntries(names.map((name) => [name, 1]));
  const { edits, clamped } = asClamped(clampBody({ options: [] }, '/api/chat', factsOf({ options })));
  assert.equal(edits.length, Object.keys(options).length);
  assert.deepEqual(clamped, ['options', 'options.', 'options.constructor', 'options.__proto__']);

  const many = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`o${i}`, 1]));
  const reported = asClamped(clampBody({ options: [] }, '/api/chat', factsOf({ options: many }))).clamped;
  assert.equal(reported.length, 17);
  assert.equal(reported.at(-1), 'options');
  const refused = ['over-clamp', 'clamps.options', ''];
  assert.deepEqual(outcome({ options: [] }, '/api/chat', { options: { ...many, more: 1 } }), refused);
});

function asClamped(result: ReturnType<typeof clampBody>): Exclude<typeof result, { refusal: unknown }> {
  assert.ok(!('refusal' in result), JSON.stringify(result));
  return result;
}

test('whatever is asked, what is sent is within the clamps, and what was within them is as it was', () => {
  const few = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
  const numbers = fc.oneof(fc.integer({ min: -3, max: 300 }), fc.double({ noNaN: true, noDefaultInfinity: true }));
  const durations = fc.oneof(
    numbers,
    fc.constantFrom('0', '0s', '-1m', '5m', '1h30m', '1.5h', '300ms', '30s', '59m', '61m', '1ns', null),
  );
  const times = fc.constantFrom('0', '1s', '1m', '1h', '24h');
  const bounds = few(fc.integer({ min: 1, max: 200 }));
  const optionNames = ['num_ctx', 'num_predict', 'seed', 'stop', 'num_gpu'];
  const bound = fc.oneof(numbers, fc.constant(null));
  const anything = fc.record(
    {
      keep_alive: durations,
      max_tokens: bound,
      max_completion_tokens: bound,
      max_output_tokens: bound,
      prompt: fc.constantFrom('', 'x'),
      options: fc.record(
        { num_ctx: bound, num_predict: bound, seed: numbers, stop: fc.constant(['x']), num_gpu: bound },
        {
          requiredKeys: [],
        },
      ),
    },
    { requiredKeys: [] },
  );
  const anyClamps = fc.record({
    keepAlive: few(fc.record({ min: few(times), max: few(times) })),
    contextTokens: bounds,
    outputTokens: bounds,
    options: few(fc.subarray(optionNames)),
  });
  const paths = [...outputs.map(([path]) => path), '/api/embed'];
  fc.assert(
    fc.property(anyClamps, fc.constantFrom(...paths), anything, (given, path, body: Body) => {
      const clamps = JSON.parse(JSON.stringify(given)) as Clamps;
      const result = clampBody(clamps, path, factsOf(body));
      if ('refusal' in result) {
        const rule = clamps.keepAlive !== undefined && body.keep_alive !== undefined;
        assert.ok(rule, 'nothing but a keep_alive is refused here');
        return;
      }
      const sent = edited(body, result.edits);
      const options = (sent.options ?? {}) as Body;
      const asked = (body.options ?? {}) as Body;

      const nsOf = (value: unknown): number => {
        const ns = typeof value === 'number' ? value * 1e9 : (parseGoDuration(String(value)) ?? Number.NaN);
        return ns < 0 ? Number.POSITIVE_INFINITY : Math.trunc(ns);
      };
      const seconds: Readonly<Record<string, number>> = { '0': 0, '1s': 1, '1m': 60, '1h': 3_600, '24h': 86_400 };
      if (clamps.keepAlive !== undefined && sent.keep_alive !== undefined && sent.keep_alive !== null) {
        const { min = '0', max } = clamps.keepAlive;
        const most = max === undefined ? Number.POSITIVE_INFINITY : (seconds[max] ?? 0) * 1e9;
        const least = Math.min(most, (seconds[min] ?? 0) * 1e9);
        const before = nsOf(body.keep_alive);
        assert.ok(nsOf(sent.keep_alive) <= most);
        assert.ok(nsOf(sent.keep_alive) >= least);
        if (before <= most && before >= least) assert.equal(sent.keep_alive, body.keep_alive);
      } else assert.equal(sent.keep_alive, body.keep_alive);

      if (clamps.contextTokens !== undefined) assert.ok(Number(options.num_ctx ?? 0) <= clamps.contextTokens);
      const field = outputs.find(([name]) => name === path)?.[2];
      for (const name of ['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'options.num_predict']) {
        const at = (where: Body, within: Body) => (name.startsWith('options.') ? within.num_predict : where[name]);
        const before = at(body, asked);
        const after = at(sent, options);
        const bounded = name === field || (path === '/v1/chat/completions' && name === 'max_completion_tokens');
        if (clamps.outputTokens === undefined || !bounded) assert.equal(after, before);
        else if (name === field || after !== before)
          assert.ok(Number(after) >= 1 && Number(after) < clamps.outputTokens + 1);
        if (typeof before === 'number' && before >= 1 && before <= (clamps.outputTokens ?? 0))
          assert.equal(after, before);
      }
      for (const name of optionNames) {
        if (name === 'num_predict' || asked[name] === undefined) continue;
        if (clamps.options?.includes(name) === false) assert.equal(options[name], null);
        else if (name !== 'num_ctx') assert.deepEqual(options[name], asked[name]);
        else if (Number(asked[name]) <= (clamps.contextTokens ?? Number.POSITIVE_INFINITY))
          assert.equal(options[name], asked[name]);
      }
      assert.equal(sent.prompt, body.prompt);
      // Everything that was there and is another is reported, and nothing else is.
      const changed = result.edits.filter(({ path: at, json }) => {
        const before = factsOf(body).values.get(at);
        return before !== undefined && before.kind !== 'null' && JSON.stringify(before.value) !== json;
      });
      assert.deepEqual(new Set(result.clamped), new Set(changed.map(({ path: at }) => at)));
    }),
    { numRuns: 3_000 },
  );
});
