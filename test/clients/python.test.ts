/** "Copy for client…" for Python: the very text that lands on the clipboard, run with the clients from PyPI. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { pythonLiteral } from '../../src/guard/share/quote.ts';
import { team } from '../support/people.ts';
import { run, startEndpoint } from './endpoint.ts';
import { findPython } from './python.ts';

const { python, skip } = findPython();

describe('the snippet for Python', { skip }, () => {
  for (const [id, path] of [
    ['ollama-python', '/api/chat'],
    ['openai-python', '/v1/chat/completions'],
    ['langchain', '/api/chat'],
  ] as const) {
    it(`chats with ${id}`, async (t) => {
      const { snippet, seen } = await startEndpoint(t);
      assert.match(await run(python, ['-'], { input: snippet(id) }), /\[demo\]/);
      assert.deepEqual(seen, [`POST ${path}`]);
    });
  }
});

describe('the snippet of environment variables', { skip }, () => {
  it('is what ollama and the OpenAI SDK read', async (t) => {
    const { snippet, seen } = await startEndpoint(t);
    const code = 'import ollama, openai; print(len(ollama.list().models), len(openai.OpenAI().models.list().data))';
    assert.match(await run('bash', ['-c', `${snippet('environment')}\n'${python}' -c '${code}'`]), /^[1-9]\d* [1-9]/);
    assert.deepEqual(seen, ['GET /api/tags', 'GET /v1/models']);
  });
});

describe('the snippet for Continue', { skip }, () => {
  it('is YAML with the fields of a config.yaml', async (t) => {
    const { snippet, url } = await startEndpoint(t);
    const code = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))';
    assert.deepEqual(JSON.parse(await run(python, ['-c', code], { input: snippet('continue') })), {
      name: 'Ollama Guard',
      version: '0.0.1',
      schema: 'v1',
      models: [
        {
          name: 'demo',
          provider: 'ollama',
          apiBase: url,
          apiKey: team.mia.key,
          model: 'demo',
          roles: ['chat', 'edit', 'apply'],
        },
      ],
    });
  });
});

describe('a literal for Python and YAML', { skip }, () => {
  it('is the text again in both', async () => {
    const tricky = '\'"`\\$%#:{}[]&*!|> ab\n\r\t\0\u007f\u0085\u00a0\u2028\u2029\ufeff\ufffe\uffff😀\ud800';
    const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...tricky) }));
    const sample = fc.sample(anyText, 500);
    const code = `
import ast, json, sys, yaml
literals = json.load(sys.stdin)
print(json.dumps([[ast.literal_eval(one) for one in literals], [yaml.safe_load(one) for one in literals]]))`;
    const out = await run(python, ['-c', code], { input: JSON.stringify(sample.map(pythonLiteral)) });
    assert.deepEqual(JSON.parse(out), [sample, sample]);
  });
});
