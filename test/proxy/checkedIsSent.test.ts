// What the policy allowed is what Ollama saw: for any body, any spelling of a model, and any way to say it twice.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { askWithForm, type FormPart, formBody } from '../support/asks.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

/** What the demo holds, by the name that its list of loaded models gives, and whether mia may use it. */
const models: Readonly<Record<string, boolean>> = {
  'demo:latest': true,
  'demo-audio:latest': true,
  'demo:7b': false,
  'team/demo-private:latest': false,
};
const users = changeUser(team.users, 'mia', { models: { allow: ['demo*', 'team/*'], deny: ['demo:7b', '*private'] } });

/** Ways to write the names of those models, each the same to Ollama. */
const spellings = [
  ...['demo', 'DEMO', 'demo:latest', 'Demo:LATEST', 'library/demo', 'registry.ollama.ai/library/demo:latest', ' demo '],
  ...[
    'demo:7b',
    'DEMO:7B',
    'library/demo:7b',
    'Registry.Ollama.AI/Library/Demo:7b',
    'https://registry.ollama.ai/library/demo:7b',
  ],
  ...['team/demo-private', 'TEAM/demo-private:latest', 'registry.ollama.ai/team/demo-private', 'demo:7b:local'],
  ...['demo:cloud', 'demo:7b-cloud', 'demo:CLOUD', '', ' ', 'demo:', ':7b', 'demo@7b', 'demo:7b\u0000', 'x'],
];

/** A string as JSON, some of its characters escaped. */
const quoted = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(text, fc.nat({ max: 3 })).map(([value, escapes]) => {
    const plain = JSON.stringify(value);
    return escapes === 0
      ? plain
      : plain.replace(/[a-zA-Z]/g, (letter, at: number) =>
          at % (4 - escapes) === 1 ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter,
        );
  });

const modelKeys = ['model', 'model', 'model', 'model', 'name', 'Model', 'MODEL', 'mODEL', 'Name', 'model ', 'modeł'];
const otherKeys = ['prompt', 'stream', 'messages', 'options', 'input', 'STREAM', 'raw', 'constructor', '__proto__'];

const member = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(quoted(fc.constantFrom(...modelKeys)), quoted(fc.constantFrom(...spellings))) },
  { weight: 1, arbitrary: fc.tuple(quoted(fc.constantFrom(...modelKeys)), fc.json({ maxDepth: 2 })) },
  { weight: 1, arbitrary: fc.tuple(quoted(fc.constantFrom(...otherKeys)), fc.json({ maxDepth: 3 })) },
);

const space = fc.constantFrom('', '', ' ', '\n', '\t\r\n ');
const ends = fc.constantFrom(...Array<string>(12).fill(''), ' \n', '{}', '{"model":"demo:7b"}', ',', '\u0000');

/** Mostly what a client would send; some of it is what an attacker would. */
const bodies: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(fc.array(member, { maxLength: 2 }), quoted(fc.constantFrom(...spellings)), space, ends)
    .map(([members, model, gap, end]) => {
      const fixed: [string, string][] = [
        ['"model"', model],
        ['"prompt"', '"hi"'],
        ['"stream"', 'false'],
      ];
      fixed.push(['"input"', '"hi"'], ['"messages"', '[{"role":"user","content":"hi"}]'], ['"max_tokens"', '3']);
      const all = [...fixed, ...(members.length > 1 ? members : [])];
      return `${gap}{${all.map(([key, value]) => `${gap}${key}${gap}:${value}`).join(',')}}${end}`;
    }),
  fc.array(member, { maxLength: 4 }).map((members) => `{${members.map((pair) => pair.join(':')).join(',')}}`),
  fc.json(),
);

const paths = [
  '/api/generate',
  '/api/chat',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/messages',
];

/** What Ollama has loaded, which is what it was asked for. */
async function loaded(demo: string): Promise<readonly string[]> {
  const { models: rows } = (await (await fetch(`${demo}/api/ps`)).json()) as { models: { name: string }[] };
  return rows.map(({ name }) => name);
}

async function unload(demo: string, model: string): Promise<void> {
  const response = await fetch(`${demo}/api/generate`, {
    method: 'POST',
    body: JSON.stringify({ model, prompt: '', keep_alive: 0, stream: false }),
  });
  await response.arrayBuffer();
}

async function start(t: TestContext): Promise<{ readonly demo: string; readonly guard: TestGuard }> {
  const demo = await startDemoOllama({ tokens: 3 });
  t.after(() => demo.stop());
  return { demo: demo.url, guard: await startGuard(t, demo.url, { users }) };
}

test('for any body and any spelling, what the policy allowed is what Ollama loaded', async (t) => {
  const { demo, guard } = await start(t);
  let used = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(bodies, fc.constantFrom(...paths), async (body, path) => {
      const headers = { authorization: team.mia.bearer, 'anthropic-version': '2023-06-01' };
      const { status } = await guard.call({ method: 'POST', path, headers, body });
      const now = await loaded(demo);
      for (const model of now) await unload(demo, model);
      for (const model of now) assert.equal(models[model], true, `${model} was loaded by ${path} ${body}`);
      if (status === 200 && now.length > 0) used += 1;
      if (status === 403) refused += 1;
    }),
    { numRuns: 1_000 },
  );
  // Neither refusing all nor allowing all would be a proof.
  assert.ok(used > 20, `${used} were allowed`);
  assert.ok(refused > 20, `${refused} were refused`);
});

const quotes = fc.constantFrom('"', '"', '"', '');
const fieldNames = fc.constantFrom('model', 'model', 'model', 'Model', 'MODEL', 'model[]', 'prompt', 'file', 'mod\\el');
const moreHeaders = fc.constantFrom(
  ...Array<string>(8).fill(''),
  'Content-Type: text/plain',
  'Content-Transfer-Encoding: base64',
  'Content-Transfer-Encoding: binary',
  'Content-Disposition: form-data; name="model"',
);

/** A part that may be the model, or look like it to one reader and not to another. */
const formPart: fc.Arbitrary<FormPart> = fc
  .tuple(fieldNames, quotes, fc.constantFrom(...spellings, 'demo-audio', 'demo-audio'), fc.nat({ max: 9 }), moreHeaders)
  .map(([name, quote, content, kind, header]) => {
    const named = `name=${quote}${name}${quote}`;
    const fileName = kind === 0 ? '; filename="x.wav"' : kind === 1 ? `; filename*=utf-8''x` : '';
    const disposition = kind === 2 ? `form-data; name="x"; ${named}` : `form-data; ${named}${fileName}`;
    return { headers: [`Content-Disposition: ${disposition}`, ...(header === '' ? [] : [header])], content };
  });

const audio: FormPart = { headers: ['Content-Disposition: form-data; name="file"; filename="x.wav"'], content: 'RIFF' };
const boundaryLine = '--a-boundary-of-the-client';
const snippets = [
  '\r\n',
  '\n',
  '\r',
  boundaryLine,
  `\r\n${boundaryLine}\r\n`,
  `${boundaryLine}--`,
  '"',
  ';',
  '\u0000',
  ' ',
];

/** Forms, some of them with something put in where it does not belong. */
const forms: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...spellings, ...Array<string>(spellings.length).fill('demo-audio')),
    fc.oneof(fc.constant([]), fc.array(formPart, { maxLength: 2 })),
    fc.boolean(),
    fc.option(fc.tuple(fc.constantFrom(...snippets), fc.nat()), { freq: 3 }),
  )
  .map(([model, more, first, snippet]) => {
    const named: FormPart = { headers: ['Content-Disposition: form-data; name="model"'], content: model };
    const form = formBody(first ? [named, audio, ...more] : [...more, audio, named]);
    if (snippet === null) return form;
    const at = snippet[1] % form.length;
    return `${form.slice(0, at)}${snippet[0]}${form.slice(at)}`;
  });

test('for any form and any query, what the policy allowed is what Ollama loaded', async (t) => {
  const { demo, guard } = await start(t);
  let used = 0;
  let refused = 0;
  const queries = fc.constantFrom('', '?model=demo%3A7b', '?model=demo-audio', '?Model=demo:7b&model=demo:7b');
  await fc.assert(
    fc.asyncProperty(forms, queries, async (body, query) => {
      const path = `/v1/audio/transcriptions${query}`;
      const { status } = await guard.call(askWithForm(team.mia, [], { body, path }));
      const now = await loaded(demo);
      for (const model of now) await unload(demo, model);
      for (const model of now) assert.equal(models[model], true, `${model} was loaded by ${query} ${body}`);
      if (status === 200 && now.length > 0) used += 1;
      if (status === 403) refused += 1;
    }),
    { numRuns: 1_000 },
  );
  assert.ok(used > 20, `${used} were allowed`);
  assert.ok(refused > 20, `${refused} were refused`);
});
