import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import fc from 'fast-check';
import { type Facts, gatherFacts, type OllamaFacts, type UserFacts } from '../../../src/checkup/facts.ts';
import { type Finding, type FindingId, findings, type Severity } from '../../../src/checkup/findings.ts';
import type { DemoOptions } from '../../../src/demo/demoOllama.ts';
import { inEnglish } from '../../../src/guard/message.ts';
import { demoFor } from '../demo/support.ts';

const page = join(import.meta.dirname, '../../../docs/check.md');
const day = 86_400_000;
const now = Date.parse('2026-06-01T00:00:00Z');

/** A computer on which all is well. */
const good: Facts = {
  ollama: {
    upstream: 'http://127.0.0.1:11434',
    local: true,
    answers: true,
    version: '0.33.0',
    listeners: [{ address: '127.0.0.1', pid: 7, program: 'ollama' }, { address: '::1' }],
    webPages: 'refused',
    account: 'unknown',
    cloud: 'off',
    cloudModels: [],
  },
  listensEverywhere: false,
  guard: { url: 'http://127.0.0.1:11435' },
  users: [],
  secretStorage: 'ok',
  passwordStore: 'gnome-libsecret',
  now,
};

function find(id: FindingId, facts: Facts): Finding {
  const found = findings(facts).find((finding) => finding.id === id);
  assert.ok(found);
  return found;
}

const withOllama = (change: Partial<OllamaFacts>): Facts => ({ ...good, ollama: { ...good.ollama, ...change } });
const textOf = ({ title, detail }: Finding): string => `${inEnglish(title)}. ${inEnglish(detail)}`;
const ids = findings(good).map(({ id }) => id);

/** Which check speaks up, how loudly and in which words. */
const cases: readonly (readonly [FindingId, Severity, RegExp, Facts])[] = [
  ['ollama-answers', 'warning', /No Ollama answered at http:\/\/127\.0\.0\.1:11434/, down([])],
  ['ollama-answers', 'warning', /nginx listens at/, down([{ address: '127.0.0.1', program: 'nginx' }])],
  ['ollama-exposed', 'danger', /listens on 0\.0\.0\.0, where/, listening('0.0.0.0')],
  ['ollama-exposed', 'danger', /listens on ::, where/, listening('::', '127.0.0.1')],
  ['ollama-exposed', 'danger', /192\.0\.2\.5/, listening('127.0.0.1', '192.0.2.5')],
  ['ollama-exposed', 'danger', /and 1 more addresses/, listening(...'abcdef')],
  ['ollama-exposed', 'warning', /another computer/, withOllama({ local: false, listeners: [] })],
  ['ollama-exposed', 'warning', /OLLAMA_HOST/, { ...good, listensEverywhere: true }],
  ['ollama-exposed', 'warning', /OLLAMA_HOST/, { ...listening(), listensEverywhere: true }],
  ['ollama-exposed', 'danger', /0\.0\.0\.0/, { ...listening('0.0.0.0'), listensEverywhere: true }],
  ['ollama-exposed', 'hint', /is not known/, listening()],
  ['ollama-origins', 'danger', /Any web page/, withOllama({ webPages: 'allowed' })],
  ['ollama-origins', 'hint', /is not known/, withOllama({ webPages: 'unknown' })],
  ['ollama-version', 'warning', /0\.17\.1 or later.*: CVE-2026-7482\.$/, withOllama({ version: '0.17.0' })],
  ['ollama-version', 'hint', /calls itself 0\.0\.0/, withOllama({ version: '0.0.0' })],
  ['ollama-version', 'hint', /is not known/, withOllama({ version: undefined })],
  ['cloud-account', 'warning', /a:cloud, b-cloud would/, cloud('signed-in', ['a:cloud', 'b-cloud'])],
  ['cloud-account', 'warning', /a:cloud would/, cloud('unknown', ['a:cloud'])],
  ['cloud-account', 'warning', /and 2 more models/, cloud('signed-in', [...'abcdefg'])],
  ['cloud-account', 'hint', /is signed in/, cloud('signed-in', [])],
  ['cloud-account', 'hint', /is not known/, cloud('unknown', [])],
  ['guard-unencrypted', 'warning', /http:\/\/0\.0\.0\.0:1/, { ...good, guard: { url: 'http://0.0.0.0:1' } }],
  ['guard-unencrypted', 'warning', /192\.0\.2\.5/, sharing('http://192.0.2.5:11435')],
  ['guard-unencrypted', 'warning', /\[2001:db8::1\]/, sharing('http://[2001:db8::1]:11435')],
  ['stale-users', 'hint', /^[^:]*\. ana: let in/, people({ name: 'ana', lastSeen: now - 31 * day })],
  ['stale-users', 'hint', /ana/, people({ name: 'ana', lastSeen: undefined })],
  ['stale-users', 'hint', /a, b, c, d, e and 2 more:/, people(...[...'abcdefg'].map((name) => ({ name })))],
  ['secret-storage', 'warning', /lost when VS Code closes/, { ...good, secretStorage: 'memory' }],
  ['secret-storage', 'hint', /basic/, { ...good, passwordStore: 'basic' }],

  ['cloud-account', 'ok', /is not signed in/, cloud('signed-out', ['a:cloud'])],
  ['cloud-account', 'ok', /switched off/, withOllama({ account: 'signed-in', cloud: 'off', cloudModels: ['a:cloud'] })],
  ['guard-unencrypted', 'ok', /Nothing/, sharing('https://192.0.2.5:11435')],
  ['guard-unencrypted', 'ok', /Nothing/, sharing('http://127.0.0.2:11435')],
  ['guard-unencrypted', 'ok', /Nothing/, sharing('http://[::1]:11435')],
  ['guard-unencrypted', 'ok', /Nothing/, { ...good, guard: {} }],
  ['stale-users', 'ok', /No forgotten/, people({ lastSeen: now - 29 * day })],
  ['stale-users', 'ok', /No forgotten/, people({ createdAt: now - 29 * day })],
  ['stale-users', 'ok', /No forgotten/, people({ expires: true })],
  ['stale-users', 'ok', /No forgotten/, people({ enabled: false })],
];

function down(listeners: OllamaFacts['listeners']): Facts {
  return withOllama({ answers: false, version: undefined, webPages: 'unknown', cloud: 'unknown', listeners });
}
function listening(...addresses: readonly string[]): Facts {
  return withOllama({ listeners: addresses.map((address) => ({ address })) });
}
function cloud(account: OllamaFacts['account'], cloudModels: readonly string[]): Facts {
  return withOllama({ cloud: 'on', account, cloudModels });
}
function sharing(sharingUrl: string): Facts {
  return { ...good, guard: { url: 'http://127.0.0.1:11435', sharingUrl } };
}
function people(...given: readonly Partial<UserFacts>[]): Facts {
  const old = { name: 'bob', enabled: true, expires: false, createdAt: now - 31 * day, lastSeen: undefined };
  return { ...good, users: given.map((change) => ({ ...old, ...change })) };
}

describe('a finding', () => {
  for (const [id, severity, words, facts] of cases) {
    it(`${id} is ${severity}: ${words.source}`, () => {
      const finding = find(id, facts);
      assert.equal(finding.severity, severity);
      assert.match(textOf(finding), words);
    });
  }
});

it('where all is well, every check says so and has a page', () => {
  for (const { id, severity, remedy } of findings(good)) {
    assert.equal(severity, 'ok', id);
    assert.deepEqual(remedy, { kind: 'explain', topic: id });
  }
});

it('what can be done is offered', () => {
  assert.deepEqual(find('ollama-answers', down([])).remedy, { kind: 'setting', name: 'upstream' });
  assert.deepEqual(find('guard-unencrypted', sharing('http://192.0.2.5:1')).remedy, {
    kind: 'command',
    id: 'stopSharing',
  });
  const open = { ...good, guard: { url: 'http://192.0.2.5:1' } };
  assert.deepEqual(find('guard-unencrypted', open).remedy, { kind: 'setting', name: 'tls' });
  assert.deepEqual(find('stale-users', people({ name: 'ana' }, { name: 'bob' })).remedy, {
    kind: 'command',
    id: 'showUser',
    argument: 'ana',
  });
  assert.deepEqual(find('ollama-exposed', listening('::')).remedy, { kind: 'explain', topic: 'ollama-exposed' });
});

it('the worst comes first', () => {
  const bad = { ...withOllama({ webPages: 'allowed', version: '0.1.0' }), passwordStore: 'basic' };
  assert.deepEqual(
    findings(bad)
      .map(({ severity }) => severity)
      .slice(0, 4),
    ['danger', 'warning', 'hint', 'ok'],
  );
});

it('names from Ollama bring no markup', () => {
  const detail = inEnglish(find('cloud-account', cloud('signed-in', ['[a](command:b):cloud'])).detail);
  assert.doesNotMatch(detail, /[[\]()]/);
});

it('every finding has a section in docs/check.md', () => {
  const titles = readFileSync(page, 'utf8').matchAll(/^## (.+)$/gm);
  const anchors = [...titles].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-'));
  assert.deepEqual(anchors.toSorted(), ids.toSorted());
});

it('what is mended in the system is told for each system', () => {
  const sections = readFileSync(page, 'utf8').split(/^## /m).slice(1);
  for (const section of sections.filter((text) => /^(Ollama|Cloud|Secret) /.test(text))) {
    assert.match(section, /Linux[\s\S]*macOS[\s\S]*Windows/, section.split('\n', 1)[0]);
  }
});

it('never throws, and always gives each check once with its placeholders filled', () => {
  const text = fc.oneof(fc.string(), fc.webUrl());
  const listener = fc.record({ address: text, program: text }, { requiredKeys: ['address'] });
  const ollama = fc.record({
    upstream: text,
    local: fc.boolean(),
    answers: fc.boolean(),
    version: fc.option(text, { nil: undefined }),
    listeners: fc.array(listener),
    webPages: fc.constantFrom<OllamaFacts['webPages'][]>('refused', 'allowed', 'unknown'),
    account: fc.constantFrom<OllamaFacts['account'][]>('signed-in', 'signed-out', 'unknown'),
    cloud: fc.constantFrom<OllamaFacts['cloud'][]>('on', 'off', 'unknown'),
    cloudModels: fc.array(text),
  });
  const user = fc.record({
    name: text,
    enabled: fc.boolean(),
    expires: fc.boolean(),
    createdAt: fc.double(),
    lastSeen: fc.option(fc.double(), { nil: undefined }),
  });
  const facts = fc.record({
    ollama,
    listensEverywhere: fc.boolean(),
    guard: fc.record({ url: text, sharingUrl: text }, { requiredKeys: [] }),
    users: fc.array(user),
    secretStorage: fc.constantFrom<Facts['secretStorage'][]>('ok', 'memory'),
    passwordStore: fc.option(text, { nil: undefined }),
    now: fc.double(),
  });
  fc.assert(
    fc.property(facts, (given) => {
      const found = findings(given);
      assert.deepEqual(found.map(({ id }) => id).toSorted(), ids.toSorted());
      for (const { title, detail } of found) {
        for (const { text: words, args } of [title, detail]) {
          for (const [, name = ''] of words.matchAll(/\{(\w+)\}/g)) assert.ok(Object.hasOwn(args, name), words);
        }
      }
    }),
  );
});

test('what the demo Ollama is found to be', async (t) => {
  const severitiesOf = async (options: DemoOptions) => {
    const demo = await demoFor(t, options);
    const state = { status: 'stopped' } as const;
    const input = { upstream: demo.url, state, users: [], lastUsed: {}, environment: {}, now };
    const found = findings(await gatherFacts({ ...input, secretStorage: 'ok' }));
    return Object.fromEntries(found.map(({ id, severity }) => [id, severity]));
  };
  assert.partialDeepStrictEqual(await severitiesOf({ version: '0.33.0' }), {
    'ollama-answers': 'ok',
    'ollama-origins': 'ok',
    'ollama-version': 'ok',
    'cloud-account': 'ok',
    ...(process.platform === 'linux' && { 'ollama-exposed': 'ok' }),
  });
  const open: DemoOptions = { version: '0.17.0', origins: '*', account: 'signed-in', cloudModels: ['x:cloud'] };
  assert.partialDeepStrictEqual(await severitiesOf(open), {
    'ollama-answers': 'ok',
    'ollama-origins': 'danger',
    'ollama-version': 'warning',
    'cloud-account': 'warning',
  });
});
