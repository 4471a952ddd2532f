/** package.json, its texts, the code's ids and the README's tables say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as z from 'zod/mini';
import { parseConfig } from '../../src/guard/config.ts';
import { policyDocument } from '../../src/guard/policy/policyDocument.ts';
import {
  commands,
  contextKeys,
  settingNames,
  settingsSection,
  views,
  walkthroughId,
  walkthroughSteps,
} from '../../src/vscode/ids.ts';

const root = join(import.meta.dirname, '..', '..');
const text = (file: string): string => readFileSync(join(root, file), 'utf8');

interface Setting {
  readonly scope: string;
  readonly ignoreSync?: boolean;
  readonly default: unknown;
  readonly markdownDescription: string;
}

const manifest = JSON.parse(text('package.json')) as {
  readonly contributes: {
    readonly commands: readonly { readonly command: string; readonly title: string; readonly category: string }[];
    readonly configuration: { readonly properties: Readonly<Record<string, Setting>> };
    readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
    readonly menus: Readonly<Record<string, readonly { readonly command: string }[]>>;
    readonly walkthroughs: readonly { readonly id: string }[];
  };
  readonly publisher: string;
  readonly name: string;
  readonly l10n: string;
  readonly engines: { readonly vscode: string };
  readonly devDependencies: Readonly<Record<string, string>>;
};
const words = JSON.parse(text('package.nls.json')) as Readonly<Record<string, string>>;
const { commands: contributed, configuration, menus, walkthroughs } = manifest.contributes;

/** What a schema in the manifest says to people and to VS Code alone; of the rest JSON Schema is the same as zod's. */
const forPeople =
  /^(markdownDescription|markdownEnumDescriptions|defaultSnippets|scope|ignoreSync|order|default|\$schema)$/;

/** A schema without that, and without the bounds of every whole number that JavaScript has. */
function structure(schema: unknown): unknown {
  const isBeyond = (value: unknown): boolean => value === Number.MAX_SAFE_INTEGER || value === Number.MIN_SAFE_INTEGER;
  if (Array.isArray(schema)) return schema.map(structure);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).filter(([key, value]) => !forPeople.test(key) && !isBeyond(value));
  return Object.fromEntries(entries.map(([key, value]) => [key, structure(value)]));
}

/** Every schema in a schema that stands for something with a name: a setting's properties, and theirs. */
function properties(schema: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const named = 'properties' in schema ? Object.values(schema.properties as object) : [];
  return [...named, ...Object.values(schema).flatMap(properties)];
}

interface WithSnippets {
  readonly defaultSnippets?: readonly { readonly body: unknown }[];
  readonly properties: Readonly<Record<string, WithSnippets>>;
  readonly additionalProperties: WithSnippets;
  readonly items: WithSnippets;
}

/** What the policy's snippets insert when nothing is typed over, each in a policy of its own. */
function snippets(setting: unknown): Record<'roles' | 'issuers' | 'queue', readonly unknown[]> {
  const { roles, issuers, queue } = (setting as WithSnippets).properties;
  // `^` takes the quotes away, and `${1:text}` is text.
  const inserted = (schema: WithSnippets | undefined): readonly unknown[] =>
    (schema?.defaultSnippets ?? []).map(({ body }) =>
      JSON.parse(
        JSON.stringify(body)
          .replace(/"\^\$\{\d:(\d+)\}"/g, '$1')
          .replace(/\$\{\d:([^}]+)\}/g, '$1'),
      ),
    );
  return {
    roles: [
      ...inserted(roles).map((body) => ({ roles: body })),
      ...inserted(roles?.additionalProperties).map((body) => ({ roles: { some: body } })),
    ],
    issuers: inserted(issuers?.items).map((body) => ({ issuers: [body] })),
    queue: inserted(queue).map((body) => ({ queue: body })),
  };
}

describe('the manifest', () => {
  it('contributes exactly the commands of the code', () => {
    assert.deepEqual(contributed.map(({ command }) => command).sort(), Object.values(commands).sort());
    for (const { category } of contributed) assert.equal(category, 'Ollama Guard');
  });

  it('contributes exactly the settings of the code', () => {
    const names = settingNames.map((name) => `${settingsSection}.${name}`);
    assert.deepEqual(Object.keys(configuration.properties).sort(), names.sort());
  });

  it('contributes exactly the views and the walkthrough of the code', () => {
    const ids = Object.values(manifest.contributes.views).flatMap((group) => group.map(({ id }) => id));
    assert.deepEqual(ids.sort(), Object.values(views).sort());
    const { publisher, name } = manifest;
    assert.deepEqual(
      walkthroughs.map(({ id }) => `${publisher}.${name}#${id}`),
      [walkthroughId],
    );
  });

  it('names nothing in menus, conditions and links that the code does not have', () => {
    const source = text('package.json');
    const conditions = [...source.matchAll(/"(?:when|enablement)": "([^"]+)"|"onContext:([^"]+)"/g)].map(
      ([all]) => all,
    );
    const links = Object.values(words).flatMap((value) => value.match(/(?<=\(command:)[^)]+/g) ?? []);
    const used = [...conditions.flatMap((condition) => condition.match(/ollamaGuard\.[\w.]+/g) ?? []), ...links];
    const known = new Set<string>(
      [contextKeys, walkthroughSteps, views, commands].flatMap((ids) => Object.values<string>(ids)),
    );
    const inMenus = Object.values(menus).flatMap((items) => items.map(({ command }) => command));
    assert.deepEqual(
      [...new Set([...used, ...inMenus])].filter((id) => !known.has(id)),
      [],
    );
  });

  it('SEC-73: no setting can come from a workspace, a remote computer, or another computer by sync', () => {
    for (const [name, { scope, ignoreSync }] of Object.entries(configuration.properties)) {
      assert.deepEqual([scope, ignoreSync], ['application', true], name);
    }
  });

  it('has defaults that make a valid configuration, on loopback alone', () => {
    const value = (name: string): unknown => configuration.properties[`${settingsSection}.${name}`]?.default;
    const config = parseConfig({ host: value('host'), port: value('port'), upstream: value('upstream') });
    assert.deepEqual([config.host, config.port], ['127.0.0.1', 11435]);
    assert.equal(value('autoStart'), false);
    assert.deepEqual([value('allowedHosts'), value('allowedOrigins')], [config.allowedHosts, config.allowedOrigins]);
    assert.equal(value('maxBodyMiB'), config.maxBodyBytes / 1024 ** 2);
  });

  it('describes the policy as the guard checks it, with words to everything in it', () => {
    const schema = configuration.properties[`${settingsSection}.policy`];
    assert.deepEqual(structure(schema), structure(z.toJSONSchema(policyDocument)));
    assert.ok(properties(schema).length > 40);
    for (const property of properties(schema)) assert.ok(property.markdownDescription, JSON.stringify(property));
    assert.deepEqual(policyDocument.parse(schema?.default), {});
  });

  it('offers snippets for the policy that are policies', () => {
    const { roles, issuers, queue } = snippets(configuration.properties[`${settingsSection}.policy`]);
    for (const document of [...roles, ...issuers, ...queue]) {
      assert.equal(policyDocument.safeParse(document).success, true, JSON.stringify(document));
    }
    assert.deepEqual([roles.length, issuers.length, queue.length], [4, 1, 1]);
  });

  it('finds every text in package.nls.json, and leaves none over', () => {
    const used = [...text('package.json').matchAll(/"%([^%"]+)%"/g)].map(([, key]) => key ?? '');
    assert.deepEqual([...new Set(used)].sort(), Object.keys(words).sort());
  });

  it('says where the translations are', () => {
    assert.equal(manifest.l10n, './l10n');
  });

  it('types VS Code no newer than the oldest version it runs in', () => {
    assert.equal(manifest.devDependencies['@types/vscode'], manifest.engines.vscode.replace('^', ''));
  });
});

describe("the README's tables", () => {
  const readme = text('README.md');
  const row = (cell: string): string | undefined => readme.split('\n').find((line) => line.startsWith(`| ${cell} |`));

  it('name every command', () => {
    for (const { title } of contributed) {
      const name = words[title.replaceAll('%', '')] ?? '';
      assert.ok(row(`**${name}**`), name);
    }
  });

  it('name every setting with its default', () => {
    for (const [name, setting] of Object.entries(configuration.properties)) {
      assert.ok(row(`\`${name}\``)?.includes(`| \`${JSON.stringify(setting.default)}\` |`), name);
    }
  });
});
