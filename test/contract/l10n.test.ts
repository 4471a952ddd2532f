/** Every text that a person sees in VS Code is there in every language, and none is left over. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: sources with templates in them
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseConfig } from '../../src/guard/config.ts';
import { GuardError } from '../../src/guard/errors.ts';
import { sources, textsIn, untranslatedIn } from '../support/texts.ts';

const root = join(import.meta.dirname, '..', '..');

type Texts = Readonly<Record<string, string>>;

const read = (file: string): Texts => JSON.parse(readFileSync(join(root, file), 'utf8'));

const languages = ['de', 'zh-cn'] as const;

/** zod's own words for what has none, which end up as `{problem}`. */
const invalidInput = 'Invalid input';

/** Where a text is passed on that is a literal somewhere else, or that was read where it is made. */
const passedOn: readonly string[] = [
  'src/checkup/findings.ts say: text',
  'src/checkup/findings.ts say: textWithMore',
  'src/checkup/findings.ts text: text',
  'src/connector/redeem.ts error: z . string ( )',
  'src/guard/errors.ts text: text',
  'src/guard/identity/authorizedKeys.ts text: text',
  'src/guard/identity/users.ts new GuardError: problem',
  'src/guard/message.ts text: text',
  'src/threads/guardHost.ts failureOf: ',
  'src/threads/messages.ts new GuardError: detail . text',
  'src/threads/messages.ts text: text',
  'src/vscode/commands/addUser.ts text: problem',
  'src/vscode/commands/ask.ts text: problem',
  'src/vscode/commands/copyForClient.ts l10n . t: client . note',
  'src/vscode/settings.ts new GuardError: text',
  'src/vscode/settings.ts text: text',
  'src/vscode/words.ts l10n . t: String ( problem )',
  'src/vscode/words.ts l10n . t: text',
  'src/vscode/words.ts problem: l10n . t ( String ( problem ) )',
  'src/vscode/words.ts text: text',
  'src/windows/messages.ts failureOf: ',
];

/** Names and examples, the same in every language. */
const untranslated: readonly string[] = [
  'Ollama',
  'Ollama Guard',
  'alice',
  'laptop',
  'llama3.2',
  'llama3*, qwen*',
  'ssh-ed25519 AAAA…',
  'POST /v1/embeddings',
];

const shown = sources('src/extension.ts', 'src/vscode/**/*.ts');
const all = sources('src/extension.ts', 'src/{vscode,guard,windows,threads,checkup,connector}/**/*.ts');
const found = [...all].map(([file, source]) => ({ file, ...textsIn(source) }));
const texts = [...new Set([...found.flatMap((source) => source.texts), invalidInput])].sort();

const matches = (text: string, pattern: RegExp): string[] => (text.match(pattern) ?? []).sort();
const placeholders = /\{\w+\}/g;
/** Links, code and line breaks, which VS Code makes buttons of. */
const markup = /\]\([^)]*\)|`[^`]*`|\n/g;

/** Compares the keys of a file with those it should have, and says what to do. */
function expectKeys(file: string, actual: Texts, expected: readonly string[]): void {
  const missing = expected.filter((key) => !Object.hasOwn(actual, key));
  const leftOver = Object.keys(actual).filter((key) => !expected.includes(key));
  const list = (what: string, keys: readonly string[]): string[] =>
    keys.length === 0 ? [] : [what, ...keys.map((key) => `  ${JSON.stringify(key)}`)];
  const problems = [...list(`add to ${file}, translated:`, missing), ...list(`remove from ${file}:`, leftOver)];
  assert.ok(problems.length === 0, problems.join('\n'));
}

/** Compares a translation with its English text. */
function expectTranslation(where: string, english: string, translation: string): void {
  const say = (problem: string): string => `${where}, ${JSON.stringify(english)}: ${problem}`;
  assert.notEqual(translation.trim(), '', say('is empty'));
  assert.equal(translation, translation.trim(), say('has blanks around it'));
  assert.deepEqual(matches(translation, placeholders), matches(english, placeholders), say('has other placeholders'));
  assert.deepEqual(matches(translation, markup), matches(english, markup), say('has other links, code or lines'));
  assert.equal(translation.endsWith('…'), english.endsWith('…'), say('ends with … in one language alone'));
  assert.equal(/[.。]$/.test(translation), english.endsWith('.'), say('is a sentence in one language alone'));
  const hasWords = /\p{L}/u.test(english.replace(placeholders, ''));
  if (hasWords) assert.notEqual(translation, english, say('is not translated'));
}

describe('texts in the source', () => {
  it('can all be read', () => {
    const places = found.flatMap(({ file, unreadable }) => unreadable.map((place) => `${file} ${place}`));
    const unknown = places.filter((place) => !passedOn.includes(place));
    const gone = passedOn.filter((place) => !places.includes(place));
    assert.deepEqual(unknown, [], 'Give it a literal; where a text is only passed on, add the place to `passedOn`.');
    assert.deepEqual(gone, [], 'Remove these from `passedOn`.');
  });

  it('are what is shown, and nothing bypasses l10n', () => {
    const bypassing = [...shown].flatMap(([file, source]) =>
      untranslatedIn(source)
        .filter((text) => !untranslated.includes(text))
        .map((text) => `${file}: ${JSON.stringify(text)}`),
    );
    assert.deepEqual(bypassing, [], 'Put these into l10n.t(…); names and examples go into `untranslated` here.');
  });

  it("include zod's own words", () => {
    assert.throws(
      () => parseConfig({ host: '127.0.0.1', port: 'many', upstream: 'http://127.0.0.1:11434' }),
      (error) => GuardError.is(error) && error.detail.args.problem === invalidInput,
    );
  });
});

describe('how texts are found', () => {
  const cases: readonly (readonly [source: string, texts: readonly string[], unreadable: readonly string[]])[] = [
    ["l10n.t('a {0}', x); l10n.t(\n  \"b's\",\n)", ['a {0}', "b's"], []],
    ["`${l10n.t('in')} ${list.map((x) => ({ x: `${l10n.t(`deep`)}` }))}`", ['in', 'deep'], []],
    ["// l10n.t('no')\nconst r = /['\"`]/; /* ' */ l10n.t('yes')", ['yes'], []],
    ['l10n.t(text); l10n.t(a ? "b" : "c"); l10n.t(`${x}`)', [], ['text', "a ? 'b' : 'c'", "'' x ''"]],
    ["new GuardError('code', 'why {x}', { args: { x, problem: y?.z ?? 'is bad' } })", ['why {x}', 'is bad'], []],
    ["throw new GuardError(error.code, 'a' + 'b')", [], ["'a' + 'b'"]],
    ["say('a'); listed(f(x, y), 'b', 'c'); { text: 'd', args: {} }", ['a', 'b', 'c', 'd'], []],
    [
      "z.regex(/a'/, 'must be a'); z.array(z.string()); z.refine((v) => f('x', v), { error: 'b' })",
      ['must be a', 'b'],
      [],
    ],
    [
      "function xProblem(x: string): string | undefined { if (x) { return; } return 'bad'; } return 'no'",
      ['bad'],
      [''],
    ],
  ];
  for (const [source, expected, unreadable] of cases) {
    it(source, () => {
      const { texts: actual, unreadable: places } = textsIn(source);
      assert.deepEqual([...actual].sort(), [...expected].sort());
      assert.deepEqual(
        places.map((place) => place.replace(/^[^:]*: /, '')),
        unreadable,
      );
    });
  }

  it('and how those that bypass l10n are', () => {
    const bypassing = (source: string): readonly string[] => untranslatedIn(source);
    assert.deepEqual(bypassing("window.showErrorMessage('a', b); void window.showInformationMessage(`b ${c}`)"), [
      'a',
      'b ',
    ]);
    assert.deepEqual(bypassing("({ label: x ? 'a' : l10n.t('b'), tooltip: ['c', l10n.t('d')], detail: (y && 'e') })"), [
      'a',
      'c',
      'e',
    ]);
    assert.deepEqual(bypassing("pick.title = 'a'; const label = x === 'b' ? '1' : `$(sync~spin) ${y}`"), ['a']);
  });
});

for (const language of languages) {
  describe(`in ${language}`, () => {
    const bundleFile = `l10n/bundle.l10n.${language}.json`;
    const bundle = read(bundleFile);

    it('every text of the source is there, and none is left over', () => {
      expectKeys(bundleFile, bundle, texts);
    });

    it('every text of the source is translated', () => {
      for (const [english, translation] of Object.entries(bundle)) {
        expectTranslation(bundleFile, english, translation);
      }
    });

    const manifestFile = `package.nls.${language}.json`;
    const english = read('package.nls.json');
    const translated = read(manifestFile);

    it('every text of package.json is there, and none is left over', () => {
      expectKeys(manifestFile, translated, Object.keys(english));
    });

    it('every text of package.json is translated', () => {
      for (const [key, translation] of Object.entries(translated)) {
        expectTranslation(`${manifestFile}, ${key}`, english[key] ?? '', translation);
      }
    });
  });
}
