/**
 * The extension in German and in Chinese. VS Code takes a language only when a language pack brings it; the one here
 * translates nothing, so that VS Code's own words stay English and everything these tests go by is there.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { GuardWindow } from './guardWindow.ts';
import { projectRoot } from './project.ts';

/** VS Code in a browser asks a marketplace for the texts of its own extensions, and here there is none. */
const withoutMarketplace = /No bundle location found for extension vscode\./;

/**
 * Leaves in the editor's user data what installing a language pack leaves there, and what "Configure Display Language"
 * does. Windows that open from then on have that language.
 */
function setLanguage(data: string, language: string): void {
  const file = path.join(data, 'translations.json');
  writeFileSync(file, JSON.stringify({ contents: {} }));
  const pack = {
    hash: language,
    label: language,
    extensions: [{ extensionIdentifier: { id: 'ollama-guard-test.language-pack' }, version: '0.0.1' }],
    translations: { vscode: file },
  };
  writeFileSync(path.join(data, 'languagepacks.json'), JSON.stringify({ [language]: pack }));
  writeFileSync(path.join(data, 'User', 'argv.json'), JSON.stringify({ locale: language }));
}

/** The translation of a text; an error when there is none, so that no test passes by the English one. */
function translator(file: string): (text: string) => string {
  const texts = JSON.parse(readFileSync(path.join(projectRoot, file), 'utf8')) as Readonly<Record<string, string>>;
  return (text) => {
    const translation = texts[text];
    if (translation === undefined) throw new Error(`${file} lacks ${JSON.stringify(text)}`);
    return translation;
  };
}

function expectNoErrors(errors: readonly string[]): void {
  const own = errors.filter((error) => !withoutMarketplace.test(error));
  assert.deepEqual(own, [], 'the extension host logged errors');
}

const exactly = (text: string): RegExp => new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));

describe('languages', () => {
  let guard: GuardWindow;

  before(async () => {
    guard = await GuardWindow.open();
    await guard.workbench.openSideBar('Ollama Guard');
  });
  after(async () => {
    const errors = await guard?.window.close();
    await guard?.demo.stop();
    expectNoErrors(errors ?? []);
  });
  afterEach(() => expectNoErrors(guard.window.takeHostErrors()));

  for (const language of ['de', 'zh-cn']) {
    const inCode = translator(`l10n/bundle.l10n.${language}.json`);
    const inManifest = translator(`package.nls.${language}.json`);

    it(`${language}: status bar, views, commands and the guard's own words`, async () => {
      const { workbench, window } = guard;
      setLanguage(window.editor.data, language);
      await workbench.reload();
      await guard.status.waitFor();

      await guard.expectStatus(exactly(inCode('Ollama Guard is stopped. Click to start it.')));
      const endpoint = inManifest('view.endpoint.name');
      const start = inManifest('command.start.title');
      const welcome = workbench.view(endpoint).locator('.welcome-view').getByRole('button', { name: start });
      await welcome.waitFor();

      await guard.run(start);
      await workbench.viewRows(endpoint, inCode('Running')).waitFor();
      await workbench.viewRows(endpoint, inCode('This computer alone')).waitFor();
      await guard.expectStatus(exactly(inCode('Ollama Guard is running at {0}').replace('{0}', guard.url)));

      await guard.run(inManifest('command.addUser.title'));
      await workbench.expectQuick(inCode('The user name'));
      await workbench.quickField.fill('-');
      await workbench.expectQuick(
        inCode(
          'A user name is 1 to 64 letters, digits, dots, dashes, underscores or @, and begins with a letter or digit.',
        ),
      );
      await guard.shoot(`language-${language}`, ['dark']);
      await workbench.dismiss();

      await guard.run(inManifest('command.stop.title'));
      await guard.expectStatus(exactly(inCode('Ollama Guard is stopped. Click to start it.')));
      // VS Code logs an error when a window is reloaded while a view is being drawn.
      await welcome.waitFor();
    });
  }
});
