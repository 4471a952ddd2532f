// SEC-36: a model has many names. `X`, `x:latest`, `library/x` and `registry.ollama.ai/library/x:latest` are one to Ollama,
// so a rule on one is a rule on all of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { ask, get } from '../support/asks.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

/** By model of the demo, every one of them names it. */
const spellings: Readonly<Record<string, readonly string[]>> = {
  'demo:latest': [
    ...['demo', 'DEMO', 'Demo:Latest', 'demo:local', 'demo:LOCAL', 'demo:latest:local', ' demo\n', 'library/demo'],
    ...['LIBRARY/demo:latest', 'registry.ollama.ai/library/demo', 'Registry.Ollama.ai/Library/DEMO:latest'],
    ...['https://registry.ollama.ai/library/demo', 'HTTP://registry.ollama.ai/library/demo:latest'],
  ],
  'demo:7b': [
    ...['demo:7b', 'demo:7B', 'DEMO:7b', 'demo:7b:local', 'library/demo:7b', 'registry.ollama.ai/library/demo:7B'],
    ...['https://registry.ollama.ai/library/demo:7b', '\tdemo:7b '],
  ],
  'team/demo-private:latest': [
    ...['team/demo-private', 'TEAM/demo-private', 'team/Demo-Private:latest', 'registry.ollama.ai/team/demo-private'],
    ...['team/demo-private:local', 'https://registry.ollama.ai/TEAM/demo-private:LATEST'],
  ],
};

/** How an owner may write down each of them, whether to allow or to deny it. */
const rules: Readonly<Record<string, readonly string[]>> = {
  'demo:latest': ['demo:latest', 'DEMO:latest', 'library/demo:latest', 'registry.ollama.ai/library/demo:latest'],
  'demo:7b': ['demo:7b', 'Demo:7B', 'library/demo:7b', 'demo:7?', '*:7b'],
  'team/demo-private:latest': ['team/demo-private', 'team/*', '*private', 'registry.ollama.ai/team/demo-private'],
};

for (const [model, globs] of Object.entries(rules)) {
  for (const glob of globs) {
    test(`SEC-36: ${glob} denies, or allows, every spelling of ${model}`, async (t) => {
      const demo = await startDemoOllama({ tokens: 3 });
      t.after(() => demo.stop());
      const guard = await startGuard(t, demo.url);
      const statuses = async (models: { readonly allow?: string[]; readonly deny?: string[] }, of: string) => {
        guard.guard.setUsers(changeUser(team.users, 'mia', { models }));
        const answers = [];
        for (const name of spellings[of] ?? []) {
          const body = { model: name, prompt: 'hi', stream: false };
          answers.push([name, (await guard.call(ask(team.mia, '/api/generate', body))).status] as const);
        }
        return answers.filter(([, status]) => status !== (models.deny && of === model ? 403 : 200));
      };
      for (const of of Object.keys(spellings)) assert.deepEqual(await statuses({ deny: [glob] }, of), [], of);
      assert.deepEqual(await statuses({ allow: [glob] }, model), []);

      guard.guard.setUsers(changeUser(team.users, 'mia', { models: { allow: [glob] } }));
      const { models } = JSON.parse((await guard.call(get(team.mia, '/api/tags'))).text);
      assert.deepEqual(
        models.map(({ name }: { name: string }) => name),
        [model],
      );
    });
  }
}

test('SEC-36: what two readers could take for two names is none', async (t) => {
  const demo = await startDemoOllama({ tokens: 3 });
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url);
  const odd = [
    ...[
      'demo:cloud:local',
      'demo:local:cloud',
      'demo:',
      ':7b',
      'demo::7b',
      '/demo',
      'demo/',
      'a/b/c/d',
      'demo@sha256:00',
    ],
    ...['demo:7b\u0000', 'dem\u200bo', '\u0501emo', 'demo\u00a0', 'demo%3a7b', 'demo:7b/', 'library//demo', '../demo'],
    ...['demo 7b', 'demo:7b:', 'x'.repeat(2_000)],
  ];
  for (const name of odd) {
    const { status } = await guard.call(ask(team.mia, '/api/generate', { model: name, prompt: 'hi', stream: false }));
    assert.equal(status, 400, JSON.stringify(name));
  }
});
