import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseModelName } from '../../../src/guard/policy/modelName.ts';
import { type IsRemote, judgeBody, judgeModel, judgePath, mayUse } from '../../../src/guard/policy/models.ts';
import { type Access, accessOf, resolvePolicy } from '../../../src/guard/policy/policy.ts';
import type { ModelRules, RoleDocument } from '../../../src/guard/policy/policyDocument.ts';
import { type Route, routes, routesOf } from '../../../src/guard/routes.ts';
import { factsOf } from './bodyFacts.ts';
import { parts, spellingOf } from './spellings.ts';

/** What a user has of a role that may do everything but what the test says. */
function access(role: RoleDocument, models?: ModelRules): Access {
  const policy = resolvePolicy({ roles: { tester: { can: ['read', 'infer', 'manage'], ...role } } });
  return accessOf(policy, { role: 'tester', ...(models && { models }) });
}

const none: IsRemote = () => false;

/** Whether a model is allowed, or why not. */
function verdictOn(holder: Access, raw: string, isRemote = none): string {
  const verdict = judgeModel(holder, raw, isRemote);
  return verdict.allowed ? 'yes' : verdict.refusal;
}

function routeAt(method: string, path: string): Route {
  const route = routesOf(path).find((candidate) => candidate.method === method);
  assert.ok(route, `${method} ${path}`);
  return route;
}

type Fields = Readonly<Record<string, unknown>>;

/** What is said of a body on a route: `yes`, or why not. */
function bodyVerdict(
  holder: Access,
  [method, path]: readonly [string, string],
  body: Fields,
  tools: readonly string[] = [],
) {
  const { verdict } = judgeBody(holder, routeAt(method, path), factsOf(body, tools), none);
  return verdict.allowed ? 'yes' : verdict.refusal;
}

const show = ['POST', '/api/show'] as const;
const pull = ['POST', '/api/pull'] as const;
const push = ['POST', '/api/push'] as const;
const create = ['POST', '/api/create'] as const;
const copy = ['POST', '/api/copy'] as const;
const chat = ['POST', '/api/chat'] as const;

test('what is denied is denied, then what is allowed is allowed, and nothing else is; the rule says where', () => {
  const holder = access({ models: { allow: ['llama3*', 'qwen*'], deny: ['*:70b'] } });
  assert.deepEqual(judgeModel(holder, 'Qwen3:8b', none), {
    allowed: true,
    rule: { place: 'roles.tester.models.allow', says: 'qwen*' },
  });
  assert.deepEqual(judgeModel(holder, 'llama3.3:70b', none), {
    allowed: false,
    refusal: 'model-not-permitted',
    rule: { place: 'roles.tester.models.deny', says: '*:70b' },
  });
  assert.deepEqual(judgeModel(holder, 'mistral', none), {
    allowed: false,
    refusal: 'model-not-permitted',
    rule: { place: 'roles.tester.models.allow', says: 'llama3*, qwen*' },
  });
  assert.equal(verdictOn(holder, 'no such name'), 'bad-model');
});

test("a user's own models take the place of the role's, and what either denies is denied", () => {
  const holder = access({ models: { allow: ['a*'], deny: ['*x'] } }, { allow: ['b*'], deny: ['*y'] });
  assert.deepEqual(judgeModel(holder, 'ba', none).rule, { place: 'user.models.allow', says: 'b*' });
  assert.deepEqual(judgeModel(holder, 'aa', none).rule, { place: 'user.models.allow', says: 'b*' });
  assert.deepEqual(judgeModel(holder, 'bx', none).rule, { place: 'roles.tester.models.deny', says: '*x' });
  assert.deepEqual(judgeModel(holder, 'by', none).rule, { place: 'user.models.deny', says: '*y' });
  assert.deepEqual(judgeModel(access({}, { allow: [] }), 'x', none).rule, { place: 'user.models.allow', says: 'none' });
});

test('SEC-36: the verdict on a model is the same in every spelling', () => {
  const holder = access({
    models: { allow: ['llama3*', 'team/*', 'hf.co/*', '*:7b', 'q?en*'], deny: ['secret', '*-x', 'hf.co/*/secret*'] },
  });
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      parts.chain((model) => fc.tuple(spellingOf(model), spellingOf(model))),
      ([one, other]) => {
        seen.add(verdictOn(holder, one));
        assert.deepEqual(judgeModel(holder, one, none), judgeModel(holder, other, none));
      },
    ),
    { numRuns: 1_000 },
  );
  assert.deepEqual([...seen].sort(), ['model-not-permitted', 'yes']);
});

test('a yes or no alone is that of the verdict', () => {
  const holders = [false, true].flatMap((cloud) => [
    access({ cloud }),
    access({ cloud, models: { allow: ['llama3*', '*/*', '*-cloud'], deny: ['*:7b', 'secret*'] } }, { deny: ['*-x'] }),
    access({ cloud }, { allow: [] }),
  ]);
  const seen = new Set<boolean>();
  fc.assert(
    fc.property(fc.constantFrom(...holders), parts.chain(spellingOf), fc.boolean(), (holder, raw, isCloud) => {
      const name = parseModelName(isCloud ? `${raw.trim()}-cloud` : raw);
      if (name === undefined) return;
      const { allowed } = judgeModel(holder, name.short, none);
      seen.add(allowed);
      assert.equal(mayUse(holder, name), allowed, name.short);
    }),
    { numRuns: 1_000 },
  );
  assert.equal(seen.size, 2);
});

test('SEC-36: a denied model is denied however it is spelled', () => {
  const holder = access({ cloud: true, models: { deny: ['secret:7b', 'team/plan'] } });
  for (const raw of ['secret:7b', 'SECRET:7B', 'library/secret:7b', 'registry.ollama.ai/library/secret:7b']) {
    for (const more of ['', ':local', ':cloud', ':CLOUD']) {
      assert.equal(verdictOn(holder, ` ${raw}${more}\n`), 'model-not-permitted', raw + more);
      assert.equal(verdictOn(holder, `${raw}${more}`.replace(':7b', ':8b').replace(':7B', ':8b')), 'yes', raw + more);
    }
  }
  assert.equal(verdictOn(holder, 'secret:7b-cloud'), 'model-not-permitted');
  assert.equal(verdictOn(holder, 'https://registry.ollama.ai/Team/Plan'), 'model-not-permitted');
});

test('SEC-78: a model of ollama.com needs the role to allow it, in every spelling', () => {
  const without = access({});
  const withCloud = access({ cloud: true });
  for (const raw of [
    'x:cloud',
    'X:Cloud',
    'x:7b-cloud',
    'x:7b-CLOUD',
    'library/x:cloud',
    ' x:7b:cloud ',
    'hf.co/a/b:cloud',
  ]) {
    assert.equal(verdictOn(without, raw), 'cloud-not-permitted', raw);
    assert.equal(verdictOn(withCloud, raw), 'yes', raw);
    assert.equal(bodyVerdict(without, chat, { model: raw }), 'cloud-not-permitted', raw);
  }
  assert.deepEqual(judgeModel(without, 'x:cloud', none).rule, { place: 'roles.tester.cloud', says: 'false' });
  assert.equal(verdictOn(access({ cloud: true, models: { deny: ['*-cloud'] } }), 'x:cloud'), 'model-not-permitted');
});

test('SEC-78: the last segment of /v1/models/:model is judged', () => {
  const holder = access({ models: { deny: ['secret'] } });
  const on = (path: string): string => {
    const verdict = judgePath(holder, path, (short) => short === 'alias:latest');
    return verdict.allowed ? 'yes' : verdict.refusal;
  };
  assert.equal(on('/v1/models/x:7b'), 'yes');
  assert.equal(on('/v1/models/x:7b-cloud'), 'cloud-not-permitted');
  assert.equal(on('/v1/models/x:Cloud'), 'cloud-not-permitted');
  assert.equal(on('/v1/models/Secret:7b'), 'model-not-permitted');
  assert.equal(on('/v1/models/Alias'), 'cloud-not-permitted');
  assert.equal(on('/v1/models/x:cloud:local'), 'bad-model');
});

test('SEC-78: what searches the web on the owner account needs the role to allow it', () => {
  const [without, withCloud] = [access({}), access({ cloud: true })];
  for (const path of ['/v1/responses', '/v1/messages', '/v1/chat/completions', '/api/chat']) {
    const on = ['POST', path] as const;
    for (const type of [
      'web_search',
      'web_search_20250305',
      'web_search_preview',
      ' Web_Search',
      // White space to Go, and none to JavaScript.
      '\u0085web_search',
      'web_fetch_20250910',
    ]) {
      assert.equal(bodyVerdict(without, on, { model: 'x' }, ['function', type]), 'cloud-not-permitted', type);
      assert.equal(bodyVerdict(withCloud, on, { model: 'x' }, ['function', type]), 'yes', type);
    }
    assert.equal(bodyVerdict(without, on, { model: 'x' }, ['function', 'custom', 'cobweb_search', '']), 'yes');
    for (const options of [{}, { search_context_size: 'low' }, true, 'x']) {
      assert.equal(bodyVerdict(without, on, { model: 'x', web_search_options: options }), 'cloud-not-permitted');
      assert.equal(bodyVerdict(withCloud, on, { model: 'x', web_search_options: options }), 'yes');
    }
    assert.equal(bodyVerdict(without, on, { model: 'x', web_search_options: null }), 'yes');
  }
});

test('SEC-9, SEC-78: an alias of a model of ollama.com is one, whatever it is called', () => {
  const isRemote = (short: string): boolean => short === 'alias:latest';
  assert.equal(verdictOn(access({}), 'Library/ALIAS', isRemote), 'cloud-not-permitted');
  assert.equal(verdictOn(access({}), 'alias:7b', isRemote), 'yes');
  assert.equal(verdictOn(access({ cloud: true }), 'alias', isRemote), 'yes');
  const { verdict } = judgeBody(access({}), routeAt(...copy), factsOf({ source: 'alias', destination: 'y' }), isRemote);
  assert.deepEqual(verdict, {
    allowed: false,
    refusal: 'cloud-not-permitted',
    rule: { place: 'roles.tester.cloud', says: 'false' },
  });
});

/** A body that names a model wherever its route has the name, and otherwise one that is allowed. */
function bodiesNaming(route: Route, model: string): readonly Fields[] {
  switch (route.names) {
    case 'model':
      return [{ model }];
    case 'model-or-name':
      return [
        { model },
        { name: model },
        { model, name: '' },
        { model: '', name: model },
        { model: null, name: model },
      ];
    case 'create':
      return [{ model }, { name: model }, { model, from: 'fine' }, { model: 'fine', from: model }];
    case 'copy':
      return [
        { source: model, destination: 'fine' },
        { source: 'fine', destination: model },
      ];
    default:
      return [];
  }
}

test('SEC-20: every route that names a model judges it, wherever it names it', () => {
  const holder = access({ models: { deny: ['secret*'] } });
  const naming = routes.filter(({ names }) => names !== 'none');
  assert.equal(naming.length, 17);
  for (const route of naming) {
    const what = `${route.method} ${route.path}`;
    if (route.names === 'path') {
      assert.equal(judgePath(holder, '/v1/models/Secret', none).allowed, false, what);
      assert.equal(judgePath(holder, '/v1/models/fine', none).allowed, true, what);
      continue;
    }
    for (const [model, refusal] of [
      ['Library/SECRET:7b', 'model-not-permitted'],
      ['x:cloud', 'cloud-not-permitted'],
      ['x:cloud:local', 'bad-model'],
    ] as const) {
      for (const body of bodiesNaming(route, model)) {
        const { verdict } = judgeBody(holder, route, factsOf(body), none);
        assert.equal(verdict.allowed ? 'yes' : verdict.refusal, refusal, `${what} ${JSON.stringify(body)}`);
      }
    }
    for (const body of bodiesNaming(route, 'fine')) {
      assert.equal(
        judgeBody(holder, route, factsOf(body), none).verdict.allowed,
        true,
        `${what} ${JSON.stringify(body)}`,
      );
    }
  }
});

test('a body names its model as a text; null and nothing are none', () => {
  const holder = access({});
  for (const route of routes.filter(({ names }) => !['none', 'path'].includes(names))) {
    const on = [route.method, String(route.path)] as const;
    for (const body of [{}, { model: '' }, { model: null, name: null }, { model: '', name: '' }, { source: 'x' }]) {
      assert.equal(bodyVerdict(holder, on, body), 'no-model', `${on} ${JSON.stringify(body)}`);
    }
    for (const odd of [1, true, false, {}, [], ['x'], { toString: 'x' }]) {
      const body = { model: odd, source: odd, destination: 'x' };
      assert.equal(bodyVerdict(holder, on, body), 'bad-field', `${on} ${JSON.stringify(body)}`);
    }
  }
  assert.equal(bodyVerdict(holder, copy, { source: 'x' }), 'no-model');
  assert.equal(bodyVerdict(holder, copy, { source: 'x', destination: 1 }), 'bad-field');
  assert.equal(bodyVerdict(holder, create, { model: 'x', from: ['y'] }), 'bad-field');
  assert.equal(bodyVerdict(holder, chat, { model: ' ' }), 'bad-model');
});

test('SEC-33: two names in one body are refused, even of one model', () => {
  const holder = access({});
  for (const on of [show, pull, push, create, ['DELETE', '/api/delete'] as const]) {
    assert.equal(bodyVerdict(holder, on, { model: 'x', name: 'y' }), 'no-model');
    assert.equal(bodyVerdict(holder, on, { model: 'x', name: 'X' }), 'no-model');
    assert.equal(bodyVerdict(holder, on, { model: 'x', name: 'x' }), 'yes');
    // As Ollama's own client writes it: the old key is there, and empty.
    assert.equal(bodyVerdict(holder, on, { model: 'x', name: '' }), 'yes');
    assert.equal(bodyVerdict(holder, on, { model: '', name: 'x' }), 'yes');
    assert.equal(bodyVerdict(holder, on, { model: 'x', name: 1 }), 'bad-field');
  }
});

test('SEC-8: models come from and go to the registries of the role alone', () => {
  const holder = access({ registries: ['registry.ollama.ai', 'localhost:5000', '10.0.0.7'] });
  const registry = (host: string, ...bodies: ((model: string) => Fields)[]): string => {
    const model = `${host}/a/b`;
    const verdicts = new Set([
      bodyVerdict(holder, pull, { model }),
      bodyVerdict(holder, pull, { name: model }),
      bodyVerdict(holder, push, { model }),
      bodyVerdict(holder, create, { model: 'x', from: model }),
      ...bodies.map((body) => bodyVerdict(holder, pull, body(model))),
    ]);
    assert.equal(verdicts.size, 1, host);
    return [...verdicts].join();
  };
  for (const host of [
    'registry.ollama.ai',
    'Registry.Ollama.AI',
    'localhost:5000',
    '10.0.0.7',
    'https://localhost:5000',
  ]) {
    assert.equal(registry(host), 'yes', host);
  }
  const foreign = [
    ...['205.237.106.117:8443', '205.237.106.117', '10.0.0.7:80', 'localhost', 'localhost:5001', 'hf.co', 'ollama.com'],
    ...[
      'registry.ollama.ai:443',
      'registry.ollama.ai.evil.example',
      'xregistry.ollama.ai',
      'http://hf.co',
      '2130706433',
    ],
  ];
  for (const host of foreign) assert.equal(registry(host), 'registry-not-permitted', host);
  assert.equal(bodyVerdict(holder, pull, { model: 'llama3.2' }), 'yes');
  assert.equal(bodyVerdict(access({ registries: ['hf.co'] }), pull, { model: 'llama3.2' }), 'registry-not-permitted');
  // What is on the computer already is nobody's registry.
  assert.equal(bodyVerdict(holder, chat, { model: 'hf.co/a/b' }), 'yes');
  assert.equal(bodyVerdict(holder, ['DELETE', '/api/delete'], { model: 'hf.co/a/b' }), 'yes');
});

test('SEC-8: insecure is refused, whatever the registry', () => {
  const holder = access({ cloud: true });
  for (const on of [pull, push]) {
    for (const insecure of [true, 1, 'true', {}]) {
      assert.equal(bodyVerdict(holder, on, { model: 'x', insecure }), 'insecure-not-permitted', String(insecure));
    }
    for (const insecure of [false, null]) assert.equal(bodyVerdict(holder, on, { model: 'x', insecure }), 'yes');
  }
});

test('SEC-9: an alias inherits nothing from what it is made of, nor lends it anything', () => {
  const holder = access({ models: { allow: ['mine*'], deny: ['*secret*'] } });
  assert.equal(bodyVerdict(holder, copy, { source: 'mine', destination: 'mine-too' }), 'yes');
  assert.equal(bodyVerdict(holder, copy, { source: 'secret', destination: 'mine' }), 'model-not-permitted');
  assert.equal(bodyVerdict(holder, copy, { source: 'mine', destination: 'theirs' }), 'model-not-permitted');
  assert.equal(bodyVerdict(holder, create, { model: 'mine', from: 'SECRET' }), 'model-not-permitted');
  assert.equal(bodyVerdict(holder, create, { model: 'theirs', from: 'mine' }), 'model-not-permitted');
  assert.equal(bodyVerdict(holder, create, { model: 'mine', from: 'mine:7b' }), 'yes');
  assert.equal(bodyVerdict(holder, create, { model: 'mine', files: {} }), 'yes');
  assert.equal(bodyVerdict(holder, create, { model: 'mine', from: '' }), 'yes');
  assert.equal(bodyVerdict(holder, create, { model: 'mine', modelfile: 'FROM secret' }), 'bad-field');
  assert.equal(bodyVerdict(holder, create, { model: 'mine', modelfile: '' }), 'yes');
  // Read as a Modelfile on the disk of an Ollama before 0.5.5.
  assert.equal(bodyVerdict(holder, create, { model: 'mine', path: '/tmp/Modelfile' }), 'bad-field');
  assert.equal(bodyVerdict(holder, create, { model: 'mine', path: 1 }), 'bad-field');
  for (const path of ['', null]) assert.equal(bodyVerdict(holder, create, { model: 'mine', path }), 'yes');
  assert.equal(bodyVerdict(holder, chat, { model: 'mine', path: '/tmp/x', modelfile: 'x' }), 'yes');
});

test('SEC-9, SEC-78: a model that is made of one elsewhere needs the role to allow it', () => {
  const [without, withCloud] = [access({}), access({ cloud: true })];
  for (const body of [
    { model: 'x', from: 'y', remote_host: 'https://ollama.com' },
    { model: 'x', from: 'y', remote_host: 1 },
    { model: 'x', from: 'y:cloud' },
    { model: 'x:cloud', from: 'y' },
  ]) {
    assert.equal(bodyVerdict(without, create, body), 'cloud-not-permitted', JSON.stringify(body));
    assert.equal(bodyVerdict(withCloud, create, body), 'yes', JSON.stringify(body));
  }
  assert.equal(bodyVerdict(without, create, { model: 'x', from: 'y', remote_host: '' }), 'yes');
  assert.equal(bodyVerdict(without, create, { model: 'x', from: 'y', remote_host: null }), 'yes');
});

test('SEC-36: where Ollama reads a name as it stands, :local is part of it and refused', () => {
  const holder = access({});
  assert.equal(bodyVerdict(holder, push, { model: 'x:local' }), 'bad-model');
  assert.equal(bodyVerdict(holder, copy, { source: 'x:LOCAL', destination: 'y' }), 'bad-model');
  assert.equal(bodyVerdict(holder, copy, { source: 'x', destination: 'y:local' }), 'bad-model');
  assert.equal(bodyVerdict(holder, create, { model: 'x:local' }), 'bad-model');
  assert.equal(bodyVerdict(holder, create, { model: 'x', from: 'y:local' }), 'yes');
  assert.equal(bodyVerdict(holder, pull, { model: 'x:local' }), 'yes');
  assert.equal(bodyVerdict(holder, show, { model: 'x:local' }), 'yes');
});

test('the models of a body are told by their short names, allowed or not', () => {
  const holder = access({ models: { allow: ['x*'] } });
  const models = (on: readonly [string, string], body: Fields) =>
    judgeBody(holder, routeAt(...on), factsOf(body), none).models;
  assert.deepEqual(models(chat, { model: 'Library/X' }), ['x:latest']);
  assert.deepEqual(models(chat, { model: 'y:7b:cloud' }), ['y:7b-cloud']);
  assert.deepEqual(models(copy, { source: 'x', destination: 'Y' }), ['x:latest', 'y:latest']);
  assert.deepEqual(models(create, { model: 'x', from: 'hf.co/A/b' }), ['x:latest', 'hf.co/a/b:latest']);
  assert.deepEqual(models(chat, { model: 'no name' }), []);
  assert.deepEqual(models(show, { model: 'x', name: 'y' }), []);
  assert.deepEqual(models(chat, {}), []);
});

test('a route that names no model has nothing to judge but what leads elsewhere', () => {
  const route = routeAt('POST', `/api/blobs/sha256:${'0'.repeat(64)}`);
  const { verdict, models } = judgeBody(access({}), route, factsOf({}), none);
  assert.deepEqual(verdict, { allowed: true, rule: { place: 'routes', says: 'names no model' } });
  assert.deepEqual(models, []);
});
