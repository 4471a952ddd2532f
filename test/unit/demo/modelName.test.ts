import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModelName } from '../../../src/demo/modelName.ts';

const KEY = 'registry.ollama.ai/library/demo:latest';

for (const spelling of [
  'demo',
  'DEMO',
  'demo:latest',
  'Demo:LATEST',
  'library/demo',
  'registry.ollama.ai/library/demo',
  'https://registry.ollama.ai/library/demo:latest',
  ' demo ',
  'demo:local',
]) {
  test(`${JSON.stringify(spelling)} is demo:latest`, () => {
    assert.equal(parseModelName(spelling)?.key, KEY);
  });
}

for (const [spelling, display] of [
  ['demo', 'demo:latest'],
  ['demo:7b', 'demo:7b'],
  ['team/demo', 'team/demo:latest'],
  ['localhost:5000/team/demo', 'localhost:5000/team/demo:latest'],
] as const) {
  test(`${spelling} is shown as ${display}`, () => {
    assert.equal(parseModelName(spelling)?.display, display);
  });
}

for (const spelling of ['demo:cloud', 'demo:7B-Cloud']) {
  test(`${spelling} is a model of ollama.com`, () => {
    assert.equal(parseModelName(spelling)?.cloud, true);
  });
}

test('a model whose own name ends in -cloud is local', () => {
  assert.equal(parseModelName('my-cloud:7b')?.cloud, false);
  assert.equal(parseModelName('my-cloud')?.cloud, false);
});

for (const spelling of [
  '',
  ':',
  'a:',
  '/a',
  'a//b',
  'a b',
  '-a',
  '../a',
  'host/name.space/model',
  `${'a'.repeat(81)}`,
]) {
  test(`${JSON.stringify(spelling)} is no name`, () => {
    assert.equal(parseModelName(spelling), undefined);
  });
}
