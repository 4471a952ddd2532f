// What a list shows is what its reader may use, no more and no less, for any models and any rules on them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseModelName } from '../../src/demo/modelName.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { ask, get } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

/** A model as Ollama lists it. */
interface Listed {
  readonly name: string;
  readonly remote: boolean;
}

const listed: fc.Arbitrary<Listed> = fc
  .tuple(
    fc.constantFrom('', '', '', 'team/', 'Team/', 'hf.co/team/'),
    fc.constantFrom('llama', 'llama3.2', 'Qwen', 'secret', 'llama-secret'),
    fc.constantFrom('latest', '7b', '7B', 'cloud', '70b-cloud'),
    fc.nat({ max: 5 }),
  )
  .map(([namespace, model, tag, kind]) => ({ name: `${namespace}${model}:${tag}`, remote: kind === 0 }));

const lists = fc.uniqueArray(listed, { maxLength: 8, selector: ({ name }) => name.toLowerCase() });

const globs = fc.array(
  fc.constantFrom(
    ...['*', 'llama*', 'LLAMA*', '*secret', '*secret*', 'llama', 'llama:7b', 'qwen:7?', 'team/*', '*:latest', '*/*'],
    ...[
      'library/*',
      'registry.ollama.ai/library/llama',
      'hf.co/*',
      'hf.co/team/secret',
      'llama:cloud',
      '*-cloud',
      '?wen',
    ],
  ),
  { maxLength: 3 },
);

/** Half of them allow whatever is not denied, or most of what there is would be hidden. */
const allowed = fc.oneof(
  fc.constant('*').map((glob) => [glob]),
  globs,
);
const rules = fc.record({ allow: allowed, deny: globs }, { noNullPrototype: true });

const entries = (models: readonly Listed[]) =>
  models.map(({ name, remote }) => ({ name, model: name, ...(remote && { remote_host: 'https://ollama.com:443' }) }));

/** Whether a glob without a word for it in the name, or with one, is written for this name: the plain half of the rules. */
function denies(glob: string, name: string): boolean {
  const display = parseModelName(name)?.display.toLowerCase() ?? assert.fail(name);
  const pattern = glob.toLowerCase().replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(`^${pattern}$`, 's').test(display);
}

for (const cloud of [false, true]) {
  test(`for any models and any rules, a list shows what may be used (${cloud ? 'with' : 'without'} ollama.com)`, async (t) => {
    let models: readonly Listed[] = [];
    const upstream = await startFakeOllama(t, (reply) => {
      if (reply.request.target === '/v1/models') {
        reply.json({ object: 'list', data: models.map(({ name }) => ({ id: name, object: 'model' })) });
      } else if (reply.request.target === '/api/ps')
        reply.json({ models: models.map(({ name }) => ({ name, model: name })) });
      else reply.json({ models: entries(models) });
    });
    const policy = { roles: { member: { cloud } } };
    const remote = () => models.filter((model) => model.remote).map(({ name }) => ({ names: [name], remote: true }));
    let shown = 0;
    let hidden = 0;
    await fc.assert(
      fc.asyncProperty(lists, rules, async (list, rule) => {
        models = list;
        const users = changeUser(team.users, 'mia', { models: rule });
        // A guard of its own: what one has learnt of models that run elsewhere holds for a while.
        const guard = await startGuard(t, upstream, { users, config: { policy }, listModels: async () => remote() });
        const usable = [];
        for (const { name } of models) {
          const { status } = await guard.call(ask(team.mia, '/api/chat', { model: name }));
          assert.ok(status === 200 || status === 403, `${name}: ${status}`);
          if (status === 200) usable.push(name);
        }
        for (const path of ['/api/tags', '/v1/models', '/api/ps']) {
          const answer = JSON.parse((await guard.call(get(team.mia, path))).text);
          const names = (answer.models ?? answer.data).map((entry: Record<string, string>) => entry.name ?? entry.id);
          assert.deepEqual(names, usable, path);
        }
        for (const name of usable) {
          assert.ok(rule.allow.length > 0, name);
          assert.ok(!rule.deny.some((glob) => denies(glob, name)), `${name} is denied`);
          assert.ok(cloud || !/cloud$/.test(name), `${name} is ollama.com's`);
          assert.ok(cloud || !models.some((model) => model.remote && model.name === name), `${name} runs elsewhere`);
        }
        shown += usable.length;
        hidden += models.length - usable.length;
        await guard.guard.stop(0);
      }),
      { numRuns: 150 },
    );
    assert.ok(shown > 20 && hidden > 20, `${shown} shown, ${hidden} hidden`);
  });
}
