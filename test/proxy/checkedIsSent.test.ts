// What the policy allowed is what Ollama saw: for any body, any spelling of a model, and any way to say it twice.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { type Fields, fieldsOf, textOf } from '../../src/demo/fields.ts';
import { parseModelName } from '../../src/demo/modelName.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { ask, askWithForm, type FormPart, formBody } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

/** What the demo holds, by the name that its list of loaded models gives, and whether mia and adam may use it. */
const models: Readonly<Record<string, boolean>> = {
  'demo:latest': true,
  'demo-audio:latest': true,
  'demo:7b': false,
  'team/demo-private:latest': false,
};
const rules = { allow: ['demo*', 'team/*'], deny: ['demo:7b', '*private'] };
const users = changeUser(changeUser(team.users, 'mia', { models: rules }), 'adam', { models: rules });

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

/** What a client would send, more or less. */
const usual: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(member, { maxLength: 2 }),
    quoted(fc.constantFrom(...spellings, ...Array<string>(10).fill('demo'))),
    space,
    ends,
  )
  .map(([members, model, gap, end]) => {
    const fixed: [string, string][] = [
      ['"model"', model],
      ['"prompt"', '"hi"'],
      ['"stream"', 'false'],
    ];
    fixed.push(['"input"', '"hi"'], ['"messages"', '[{"role":"user","content":"hi"}]'], ['"max_tokens"', '3']);
    const all = [...fixed, ...(members.length > 1 ? members : [])];
    return `${gap}{${all.map(([key, value]) => `${gap}${key}${gap}:${value}`).join(',')}}${end}`;
  });

/** Mostly that; some of it is what an attacker would send. */
const bodies: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: usual },
  {
    weight: 1,
    arbitrary: fc.array(member, { maxLength: 4 }).map((all) => `{${all.map((pair) => pair.join(':')).join()}}`),
  },
  { weight: 1, arbitrary: fc.json() },
);

const paths = [
  '/api/generate',
  '/api/chat',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/messages',
  '/api/embed',
  '/api/embeddings',
  '/v1/embeddings',
];

/** How often a path was used and refused: neither refusing all nor allowing all would be a proof. */
class Tally {
  readonly #counts = new Map<string, { used: number; refused: number }>();

  constructor(paths: readonly string[]) {
    for (const path of paths) this.#counts.set(path, { used: 0, refused: 0 });
  }

  count(path: string, what: 'used' | 'refused'): void {
    const counts = this.#counts.get(path) ?? assert.fail(path);
    counts[what] += 1;
  }

  isProof(): void {
    for (const [path, { used, refused }] of this.#counts) {
      assert.ok(used > 0 && refused > 0, `${path}: ${used} were allowed, ${refused} were refused`);
    }
  }
}

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
  const tally = new Tally(paths);
  await fc.assert(
    fc.asyncProperty(bodies, fc.constantFrom(...paths), async (body, path) => {
      const headers = { authorization: team.mia.bearer, 'anthropic-version': '2023-06-01' };
      const { status } = await guard.call({ method: 'POST', path, headers, body });
      const now = await loaded(demo);
      for (const model of now) await unload(demo, model);
      for (const model of now) assert.equal(models[model], true, `${model} was loaded by ${path} ${body}`);
      if (status === 200 && now.length > 0) tally.count(path, 'used');
      if (status === 403) tally.count(path, 'refused');
    }),
    { numRuns: 1_500 },
  );
  tally.isProof();
});

test('for any body and any spelling, what the policy allowed is what Ollama shows', async (t) => {
  const { guard } = await start(t);
  const tally = new Tally(['/api/show']);
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const { status, text } = await guard.call(ask(team.mia, '/api/show', body));
      if (status === 403) tally.count('/api/show', 'refused');
      if (status !== 200) return;
      const [, model = ''] = /^FROM (.*)$/m.exec(JSON.parse(text).modelfile) ?? [];
      assert.equal(models[model], true, `${model} was shown by ${body}`);
      tally.count('/api/show', 'used');
    }),
    { numRuns: 500 },
  );
  tally.isProof();
});

const nativeModel = (body: Fields): readonly string[] => [textOf(body, 'model') || textOf(body, 'name')];

/** Paths on which models are managed, and the names that Ollama reads in a body, as its handlers do. */
const managing: Readonly<Record<string, (body: Fields) => readonly string[]>> = {
  '/api/show': nativeModel,
  '/api/pull': nativeModel,
  '/api/push': nativeModel,
  '/api/delete': nativeModel,
  '/api/create': (body) => [...nativeModel(body), ...(textOf(body, 'from') === '' ? [] : [textOf(body, 'from')])],
  '/api/copy': (body) => [textOf(body, 'source'), textOf(body, 'destination')],
};

/** Names that are not there yet, and such as have another registry called. */
const newNames: Readonly<Record<string, boolean>> = { 'demo-new:latest': true, 'team/other:7b': true };
const managedSpellings = [
  ...spellings,
  ...[
    'demo-new',
    'Library/DEMO-new',
    'team/other:7b',
    'other/demo',
    'hf.co/team/demo',
    'http://127.0.0.1:1/library/demo',
  ],
];

const managedKeys = ['model', 'name', 'source', 'destination', 'from'];
const wrongKeys = ['Model', 'NAME', 'Source', 'deſtination', 'FROM', 'ſource'];
const keysThatLead = ['insecure', 'modelfile', 'path', 'remote_host'];
const managedMember = fc.oneof(
  fc.tuple(
    fc.constantFrom(...keysThatLead).map((key) => JSON.stringify(key)),
    fc.constantFrom('true', '"demo"', '""'),
  ),
  fc.tuple(quoted(fc.constantFrom(...managedKeys)), quoted(fc.constantFrom(...managedSpellings))),
  fc.tuple(
    quoted(fc.constantFrom(...managedKeys, ...wrongKeys)),
    fc.oneof(quoted(fc.constantFrom(...managedSpellings)), fc.json({ maxDepth: 1 })),
  ),
);

/** Mostly every key at most once, each with a name that is allowed as often as not. */
const managedBodies = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...managedKeys), { minLength: 1 }),
    fc.array(quoted(fc.constantFrom(...managedSpellings, ...Array<string>(12).fill('demo'))), {
      minLength: managedKeys.length,
      maxLength: managedKeys.length,
    }),
    fc.oneof(fc.constant([]), fc.array(managedMember, { minLength: 1, maxLength: 2 })),
    space,
    ends,
  )
  .map(([keys, values, more, gap, end]) => {
    const members = [...keys.map((key, i) => [JSON.stringify(key), values[i]]), ...more];
    return `${gap}{${members.map(([key, value]) => `${gap}${key}${gap}:${value}`).join(',')}}${end}`;
  });

test('for any body and any spelling, what the policy allowed is what Ollama reads in what it is sent', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ status: 'success' }));
  const guard = await startGuard(t, upstream, { users });
  const tally = new Tally(Object.keys(managing));
  await fc.assert(
    fc.asyncProperty(managedBodies, fc.constantFrom(...Object.entries(managing)), async (body, [path, namesIn]) => {
      const before = upstream.requests.length;
      const { status } = await guard.call(ask(team.adam, path, body, path === '/api/delete' ? 'DELETE' : 'POST'));
      if (status === 403) tally.count(path, 'refused');
      const sent = upstream.requests.slice(before);
      assert.equal(sent.length, status === 200 ? 1 : 0);
      for (const { target, text } of sent) {
        assert.equal(target, path);
        const read = fieldsOf(JSON.parse(text));
        for (const raw of namesIn(read)) {
          const { display = '', cloud } = parseModelName(raw) ?? {};
          const name = display.toLowerCase();
          assert.equal(cloud, false, `${raw} was sent to ${path} by ${body}`);
          assert.ok(models[name] || newNames[name], `${raw} was sent to ${path} by ${body}`);
        }
        // What leads elsewhere without a name; old versions made a model of what is in a file.
        const elsewhere = ['insecure', 'remote_host', ...(path === '/api/create' ? ['modelfile', 'path'] : [])];
        for (const key of elsewhere) assert.ok(!read[key], `${key} was sent to ${path} by ${body}`);
        tally.count(path, 'used');
      }
    }),
    { numRuns: 4_000 },
  );
  tally.isProof();
});

test('for any body and any spelling, what the policy allowed is what Ollama deletes', async (t) => {
  const { demo, guard } = await start(t);
  const listed = async () => {
    const { models: rows } = (await (await fetch(`${demo}/api/tags`)).json()) as { models: { name: string }[] };
    return rows.map(({ name }) => name);
  };
  const all = await listed();
  const tally = new Tally(['/api/delete']);
  await fc.assert(
    fc.asyncProperty(managedBodies, async (body) => {
      const { status } = await guard.call(ask(team.adam, '/api/delete', body, 'DELETE'));
      if (status === 403) tally.count('/api/delete', 'refused');
      const left = await listed();
      for (const model of all.filter((name) => !left.includes(name))) {
        assert.equal(models[model], true, `${model} was deleted by ${body}`);
        tally.count('/api/delete', 'used');
        const pulled = await fetch(`${demo}/api/pull`, {
          method: 'POST',
          body: JSON.stringify({ model, stream: false }),
        });
        assert.equal(pulled.status, 200);
        await pulled.arrayBuffer();
      }
    }),
    { numRuns: 1_000 },
  );
  tally.isProof();
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
