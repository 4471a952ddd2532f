/** The snippets that can run here, and how: each is the very text that lands on the clipboard. */
import { request } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { team } from '../support/people.ts';
import { run, workFolder } from './endpoint.ts';
import { findPython } from './python.ts';

const { python, skip: noPython } = findPython();

/** A way to run a snippet. */
export interface Runner {
  readonly name: string;
  /** Whose snippet it is. */
  readonly id: string;
  /** Why it cannot run here. */
  readonly skip: string | false;
  /** What reaches Ollama. */
  readonly seen: readonly string[];
  /** Runs it and gives what it printed. Fails when it does. */
  run(t: TestContext, snippet: string): Promise<string>;
}

const bash = (script: string, cwd?: string, input = '') => run('bash', ['-c', script], { ...(cwd && { cwd }), input });

const chat = ['POST /api/chat'] as const;

const javascript = (id: string, seen: readonly string[]): Runner => ({
  name: id,
  id,
  skip: false,
  seen,
  run: async (t, snippet) =>
    run(process.execPath, ['snippet.mjs'], { cwd: await workFolder(t, { 'snippet.mjs': snippet }) }),
});

/** What a Node without `setDefaultCACertificates` makes of a snippet for JavaScript, started as its comment says. */
const olderNode = (id: string, seen: readonly string[]): Runner => ({
  name: `${id} in an older Node`,
  id,
  skip: false,
  seen,
  run: async (t, snippet) => {
    const [ca = ''] = /-----BEGIN CERTIFICATE-----[^`]+/.exec(snippet) ?? [];
    const [, variable = ''] = / (NODE_EXTRA_CA_CERTS=\S+) node …$/m.exec(snippet) ?? [];
    const cwd = await workFolder(t, {
      'snippet.mjs': snippet,
      'ollama-guard-ca.pem': ca,
      'older.cjs': "delete require('node:tls').setDefaultCACertificates;",
    });
    return bash(`${variable} node --require ./older.cjs snippet.mjs`, cwd);
  },
});

const pythonProgram = (id: string, seen: readonly string[]): Runner => ({
  name: id,
  id,
  skip: noPython,
  seen,
  run: (_t, snippet) => run(python, ['-'], { input: snippet }),
});

/** A snippet for a shell, and after it a program that reads what it has set. */
const withProgram = (
  id: string,
  name: string,
  seen: readonly string[],
  program: { readonly file: string; readonly code: string; readonly start?: string },
): Runner => ({
  name: `${id} with ${name}`,
  id,
  skip: false,
  seen,
  run: async (t, snippet) => {
    const cwd = await workFolder(t, {
      [program.file]: program.code,
      claude: '#!/bin/sh\nexec node client.mjs\n',
    });
    return bash(program.start === undefined ? snippet : `${snippet}\n${program.start}`, cwd);
  },
});

const openaiClient = `
import OpenAI from 'openai';
const answer = await new OpenAI({ maxRetries: 0 }).chat.completions.create({
  model: 'demo', messages: [{ role: 'user', content: 'Hello' }],
});
console.log(answer.choices[0].message.content);
`;

const anthropicClient = `
import Anthropic from '@anthropic-ai/sdk';
const answer = await new Anthropic({ maxRetries: 0 }).messages.create({
  model: process.env.ANTHROPIC_MODEL, max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }],
});
console.log(answer.content[0].text);
`;

const pythonClient = `
import ollama, openai
messages = [{"role": "user", "content": "Hello"}]
print(ollama.chat(model="demo", messages=messages).message.content)
print(openai.OpenAI(max_retries=0).chat.completions.create(model="demo", messages=messages).choices[0].message.content)
`;

/** Every way to run a snippet here, over TLS or not. */
export const runners: readonly Runner[] = [
  { name: 'curl', id: 'curl', skip: false, seen: chat, run: (_t, snippet) => bash(snippet) },
  {
    name: 'the test with curl, in any snippet',
    id: 'open-webui',
    skip: false,
    seen: ['GET /api/tags'],
    run: (_t, snippet) => {
      const [, command = ''] = /^Test, .*: (curl .*)$/m.exec(snippet) ?? [];
      return bash(command, undefined, `${team.mia.key}\n`);
    },
  },
  javascript('ollama-js', chat),
  javascript('openai-js', ['POST /v1/chat/completions']),
  pythonProgram('ollama-python', chat),
  pythonProgram('openai-python', ['POST /v1/chat/completions']),
  pythonProgram('langchain', chat),
  withProgram('environment', 'the OpenAI SDK', ['POST /v1/chat/completions'], {
    file: 'client.mjs',
    code: openaiClient,
    start: 'node client.mjs',
  }),
  withProgram('claude-code', 'a claude on the Anthropic SDK', ['POST /v1/messages'], {
    file: 'client.mjs',
    code: anthropicClient,
  }),
];

/** Ways to run a snippet that only TLS makes a difference to. */
export const tlsRunners: readonly Runner[] = [
  {
    // PowerShell is not there: what it would pipe, and to what, is read by its rules and run.
    name: 'PowerShell, taken apart',
    id: 'powershell',
    skip: false,
    seen: chat,
    run: (_t, snippet) => {
      const [, body = '', words = ''] = /\n'([^']*)' \| curl\.exe (.*)$/.exec(snippet) ?? [];
      const args = [...words.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '');
      return run('curl', args, { input: `${body}\r\n` });
    },
  },
  olderNode('ollama-js', chat),
  olderNode('openai-js', ['POST /v1/chat/completions']),
  {
    ...withProgram('environment', 'ollama and OpenAI for Python', [...chat, 'POST /v1/chat/completions'], {
      file: 'client.py',
      code: pythonClient,
    }),
    skip: noPython,
    run: async (t, snippet) => {
      const cwd = await workFolder(t, { 'client.py': pythonClient });
      const [, line = ''] = /^# (export SSL_CERT_FILE=.*)$/m.exec(snippet) ?? [];
      return bash(`${snippet}\n${line}\n'${python}' client.py`, cwd);
    },
  },
  {
    // Continue is not run: what it reads is given to what it is built on, Node's own https.
    name: 'Continue, by what it reads',
    id: 'continue',
    skip: false,
    seen: chat,
    run: async (_t, snippet) => {
      const read = (field: string): string =>
        JSON.parse(new RegExp(`^ +${field}: (.*)$`, 'm').exec(snippet)?.[1] ?? '');
      const ca = await (await fetch(read('caBundlePath'))).text();
      const headers = { authorization: `Bearer ${read('apiKey')}` };
      const body = { model: read('model'), messages: [{ role: 'user', content: 'Hello' }] };
      return new Promise((resolve, reject) => {
        const asked = request(`${read('apiBase')}/api/chat`, { method: 'POST', ca, headers }, (answer) => {
          readText(answer).then(resolve, reject);
        });
        asked.on('error', reject).end(JSON.stringify(body));
      });
    },
  },
];
