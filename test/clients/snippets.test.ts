/**
 * "Copy for client…": the very text that lands on the clipboard, run where the client can run here. Claude Code, Cline,
 * Copilot and Open WebUI themselves do not: what they are known to send (docs/clients.md) is sent in their place.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { team } from '../support/people.ts';
import { run, startEndpoint, workFolder } from './endpoint.ts';

/** The value of a field in a form. */
function field(snippet: string, name: string): string {
  const line = snippet.split('\n').find((candidate) => candidate.startsWith(`${name}: `));
  assert.ok(line, name);
  return line.slice(name.length + 2);
}

const status = async (url: string, bearer?: string, body?: unknown) => {
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const ask = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(url, { headers, ...ask });
  await response.arrayBuffer();
  return response.status;
};

describe('the snippet for curl', () => {
  it('chats', async (t) => {
    const { snippet, seen } = await startEndpoint(t);
    const answer = JSON.parse(await run('bash', ['-c', snippet('curl')]));
    assert.match(answer.message.content, /\[demo\]/);
    assert.deepEqual(seen, ['POST /api/chat']);
  });

  it('has a test that lists the models and asks for the key', async (t) => {
    const { snippet, seen } = await startEndpoint(t);
    const [, command = ''] = /^# Test, .*: (curl .*)$/m.exec(snippet('curl')) ?? [];
    const answer = JSON.parse(await run('bash', ['-c', command], { input: `${team.mia.key}\n` }));
    assert.ok(answer.models.length > 0);
    assert.deepEqual(seen, ['GET /api/tags']);
  });
});

describe('the snippet for JavaScript', () => {
  for (const [id, path] of [
    ['ollama-js', '/api/chat'],
    ['openai-js', '/v1/chat/completions'],
  ] as const) {
    it(`chats with ${id}`, async (t) => {
      const { snippet, seen } = await startEndpoint(t);
      const cwd = await workFolder(t, { 'snippet.mjs': snippet(id) });
      assert.match(await run(process.execPath, ['snippet.mjs'], { cwd }), /\[demo\]/);
      assert.deepEqual(seen, [`POST ${path}`]);
    });
  }
});

describe('the snippet of environment variables', () => {
  it('is what the OpenAI SDK reads', async (t) => {
    const { snippet, seen } = await startEndpoint(t);
    const cwd = await workFolder(t, {
      'client.mjs': `import OpenAI from 'openai'; console.log((await new OpenAI().models.list()).data[0].id);`,
    });
    assert.match(await run('bash', ['-c', `${snippet('environment')}\nnode client.mjs`], { cwd }), /^demo/);
    assert.deepEqual(seen, ['GET /v1/models']);
  });
});

describe('the snippet for Claude Code', () => {
  // Claude Code is not run: a program of its name takes its place, on the SDK that it is built on.
  it('starts claude with what the Anthropic SDK reads, and with models that are there', async (t) => {
    const { snippet, seen } = await startEndpoint(t);
    const claude = `
import Anthropic from '@anthropic-ai/sdk';
const { ANTHROPIC_API_KEY, ANTHROPIC_MODEL, ANTHROPIC_DEFAULT_HAIKU_MODEL } = process.env;
if (ANTHROPIC_API_KEY) throw new Error('there is a key for somewhere else');
for (const model of [ANTHROPIC_MODEL, ANTHROPIC_DEFAULT_HAIKU_MODEL]) {
  const answer = await new Anthropic().messages.create({
    model, max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }],
  });
  console.log(answer.content[0].text);
}
`;
    const cwd = await workFolder(t, { 'claude.mjs': claude, claude: '#!/bin/sh\nexec node claude.mjs\n' });
    // What a teammate has set already must not go to the endpoint.
    const command = `export ANTHROPIC_API_KEY=private\n${snippet('claude-code')}`;
    assert.equal((await run('bash', ['-c', command], { cwd })).match(/\[demo\]/g)?.length, 2);
    assert.deepEqual(seen, ['POST /v1/messages', 'POST /v1/messages']);
  });
});

describe('what a form is filled in with', () => {
  it('lets Cline chat; its list of models it asks for without the key', async (t) => {
    const { snippet } = await startEndpoint(t);
    const text = snippet('cline');
    const url = field(text, 'Use custom base URL');
    const body = { model: field(text, 'Model'), messages: [{ role: 'user', content: 'Hello' }] };
    assert.equal(await status(`${url}/api/chat`, field(text, 'Ollama API Key'), body), 200);
    assert.equal(await status(`${url}/api/tags`), 401);
  });

  it('lets Copilot chat at the address of its model', async (t) => {
    const { snippet } = await startEndpoint(t);
    const text = snippet('copilot');
    const [{ id, url }] = JSON.parse(text.slice(text.indexOf('\n[\n'), text.lastIndexOf(']') + 1));
    const body = { model: id, messages: [{ role: 'user', content: 'Hello' }], stream: true };
    assert.equal(await status(url, field(text, 'API key'), body), 200);
  });

  it('lets Open WebUI list and chat', async (t) => {
    const { snippet } = await startEndpoint(t);
    const text = snippet('open-webui');
    const key = field(text, 'Key');
    assert.equal(await status(`${field(text, 'URL')}/api/tags`, key), 200);
    const body = { model: 'demo', messages: [{ role: 'user', content: 'Hello' }] };
    assert.equal(await status(`${field(text, 'URL')}/api/chat`, key, body), 200);
  });
});
