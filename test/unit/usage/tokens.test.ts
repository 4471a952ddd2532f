import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BodyFacts, Value } from '../../../src/guard/body/facts.ts';
import { boundOutput } from '../../../src/guard/policy/outputFields.ts';
import { estimateTokens } from '../../../src/guard/usage/tokens.ts';

const number = (value: number): Value => ({ kind: 'number', value, start: 0, end: 0 });

function facts(numbers: Readonly<Record<string, number>> = {}, textBytes = 0, images = 0): BodyFacts {
  const values = new Map(Object.entries(numbers).map(([path, value]) => [path, number(value)]));
  return { values, images: { count: images, bytes: images * 1_000 }, toolTypes: [], textBytes };
}

test('a prompt is estimated from its text and its images, upwards', () => {
  const promptOf = (bytes: number, images = 0) => estimateTokens('/api/chat', facts({}, bytes, images)).prompt;
  assert.deepEqual(
    [0, 1, 3, 4, 3_000].map((bytes) => promptOf(bytes)),
    [0, 1, 1, 2, 1_000],
  );
  assert.equal(promptOf(3_000, 2), 1_000 + 2 * 1_024);
});

test('a prompt cannot take more than a token a byte, and is estimated at no more than the context', () => {
  const most = (path: string, bytes: number, numbers = {}, images = 0) =>
    estimateTokens(path, facts(numbers, bytes, images)).mostPrompt;
  assert.equal(most('/api/chat', 9_000), 9_000);
  assert.equal(most('/api/chat', 9_000, {}, 2), 9_000 + 2 * 4_096);
  const estimate = (path: string, bytes: number, num_ctx = 4_000) =>
    estimateTokens(path, facts({ 'options.num_ctx': num_ctx }, bytes));
  for (const path of ['/api/chat', '/api/generate']) {
    assert.equal(estimate(path, 90_000).prompt, 4_000, path);
    // Models that run by MLX are not held to it.
    assert.equal(estimate(path, 90_000).mostPrompt, 90_000, path);
  }
  // Each of several inputs may be as long as that, and other dialects have no options.
  for (const path of ['/api/embed', '/v1/chat/completions', '/v1/responses']) {
    assert.equal(estimate(path, 90_000).prompt, 30_000, path);
  }
  assert.equal(estimate('/api/chat', 3_000).prompt, 1_000);
  for (const num_ctx of [-1, 0, 1]) assert.equal(estimate('/api/chat', 90_000, num_ctx).prompt, 2_048);
});

test('nobody can tell what a prompt becomes that has a template of its own, or is searched the web for', () => {
  const most = (path: string, more: Partial<BodyFacts>) => estimateTokens(path, { ...facts({}, 9), ...more });
  const withTemplate = (value: string | null) => {
    const kind = value === null ? 'null' : 'string';
    return { values: new Map([['template', { kind, value, start: 0, end: 0 } as const]]) };
  };
  const endless = { prompt: 3, mostPrompt: Number.POSITIVE_INFINITY, output: undefined };
  assert.deepEqual(most('/api/generate', withTemplate('{{.Prompt}}{{.Prompt}}')), endless);
  for (const toolTypes of [['web_search'], ['function', 'web_search_20250305']]) {
    assert.deepEqual(most('/v1/messages', { toolTypes }), endless);
  }
  for (const nothing of ['', null]) assert.equal(most('/api/generate', withTemplate(nothing)).mostPrompt, 9);
  assert.equal(most('/api/chat', withTemplate('{{.Prompt}}')).mostPrompt, 9, 'it has none');
  assert.equal(most('/v1/messages', { toolTypes: ['function'] }).mostPrompt, 9);
});

test('an answer that is to have a form may be written twice, with the first in the prompt of the second', () => {
  const formats = { '/api/chat': 'format', '/v1/chat/completions': 'response_format', '/v1/responses': 'text' };
  const bounds = { 'options.num_predict': 50, max_tokens: 50, max_output_tokens: 50 };
  for (const [path, format] of Object.entries(formats)) {
    const once = facts(bounds, 300);
    const twice = { ...once, values: new Map([...once.values, [format, { ...number(0), kind: 'object' } as const]]) };
    assert.deepEqual(estimateTokens(path, once), { prompt: 100, mostPrompt: 300, output: 50 });
    assert.deepEqual(estimateTokens(path, twice), { prompt: 100, mostPrompt: 350, output: 100 });
    const unbounded = { ...twice, values: new Map([...twice.values].filter(([name]) => name === format)) };
    assert.equal(estimateTokens(path, unbounded).output, undefined);
    // There it is done by the grammar alone.
    assert.equal(estimateTokens('/api/generate', twice).output, 50);
  }
});

test('an answer is as long as the request says, in every dialect', () => {
  const outputOf = (path: string, numbers: Readonly<Record<string, number>>) =>
    estimateTokens(path, facts(numbers)).output;
  const fields: readonly (readonly [path: string, field: string])[] = [
    ['/api/generate', 'options.num_predict'],
    ['/api/chat', 'options.num_predict'],
    ['/v1/chat/completions', 'max_tokens'],
    ['/v1/chat/completions', 'max_completion_tokens'],
    ['/v1/completions', 'max_tokens'],
    ['/v1/messages', 'max_tokens'],
    ['/v1/responses', 'max_output_tokens'],
  ];
  for (const [path, field] of fields) {
    assert.equal(outputOf(path, { [field]: 42 }), 42, path);
    assert.equal(outputOf(path, { [field]: 42.9 }), 42, path);
    for (const none of [0, 0.5, -1, -2, 1e300]) assert.equal(outputOf(path, { [field]: none }), undefined, path);
    assert.equal(outputOf(path, {}), undefined, path);
  }
  assert.equal(outputOf('/api/chat', { max_tokens: 42 }), undefined, 'the field of another dialect');
  // Ollama acts on the one today and may on the other tomorrow.
  assert.equal(outputOf('/v1/chat/completions', { max_completion_tokens: 9, max_tokens: 90 }), 90);
  assert.equal(outputOf('/v1/chat/completions', { max_completion_tokens: 90, max_tokens: 9 }), 90);
  for (const path of ['/api/embed', '/api/embeddings', '/v1/embeddings']) assert.equal(outputOf(path, {}), 0, path);
  assert.equal(outputOf('/v1/audio/transcriptions', {}), undefined);
});

test('a bound is put in where Ollama acts on it, unless there is one', () => {
  const edits = (path: string, numbers: Readonly<Record<string, number>>) => boundOutput(path, facts(numbers), 100);
  assert.deepEqual(edits('/api/generate', {}), [{ path: 'options.num_predict', json: '100' }]);
  assert.deepEqual(edits('/api/chat', { 'options.num_predict': -1 }), [{ path: 'options.num_predict', json: '100' }]);
  assert.deepEqual(edits('/api/chat', { 'options.num_predict': 5 }), []);
  assert.deepEqual(edits('/api/chat', { 'options.num_predict': 500 }), []);
  assert.deepEqual(edits('/v1/responses', {}), [{ path: 'max_output_tokens', json: '100' }]);
  assert.deepEqual(edits('/v1/messages', {}), [{ path: 'max_tokens', json: '100' }]);
  const path = '/v1/chat/completions';
  assert.deepEqual(edits(path, { max_completion_tokens: 5 }), [{ path: 'max_tokens', json: '5' }]);
  assert.deepEqual(edits(path, { max_completion_tokens: 500 }), [{ path: 'max_tokens', json: '100' }]);
  assert.deepEqual(edits(path, { max_completion_tokens: 5, max_tokens: 7 }), []);
  assert.deepEqual(edits('/api/embed', {}), []);
  assert.deepEqual(edits('/v1/audio/transcriptions', {}), []);
});
