import { l10n, type QuickPickItem, ThemeIcon, window } from 'vscode';
import type { User } from '../../guard/identity/users.ts';
import { accessOf, resolvePolicy } from '../../guard/policy/policy.ts';
import { type ModelRules, modelGlob } from '../../guard/policy/policyDocument.ts';
import { accessWords } from '../accessWords.ts';
import { staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

interface ModelsItem extends QuickPickItem {
  /** The user's own rules from now on; undefined when the question was dismissed. */
  choose(): Promise<ModelRules | undefined>;
}

/** Changes which models a user may use, over what the role says. */
export async function editModels({ guard }: CommandContext, user: User): Promise<void> {
  const policy = resolvePolicy(guard.policy);
  const { name, role, models = {} } = user;
  const title = l10n.t('Models of {0}', name);
  const items: readonly ModelsItem[] = [
    {
      label: l10n.t('As the role says'),
      description: accessWords(accessOf(policy, { role }).models),
      iconPath: new ThemeIcon('shield'),
      choose: async () => ({}),
    },
    {
      label: l10n.t('Some models…'),
      description: models.allow?.join(', ') ?? '',
      detail: l10n.t('In place of those that the role allows'),
      iconPath: new ThemeIcon('check'),
      choose: async () => {
        const { allow = [], ...rest } = models;
        const globs = await askGlobs(title, l10n.t('Which models may {0} use?', name), allow);
        return globs && { ...rest, ...(globs.length > 0 && { allow: globs }) };
      },
    },
    {
      label: l10n.t('Not these…'),
      description: models.deny?.join(', ') ?? '',
      detail: l10n.t('Beside those that the role denies'),
      iconPath: new ThemeIcon('circle-slash'),
      choose: async () => {
        const { deny = [], ...rest } = models;
        const globs = await askGlobs(title, l10n.t('Which models may {0} not use?', name), deny);
        return globs && { ...rest, ...(globs.length > 0 && { deny: globs }) };
      },
    },
  ];
  const placeHolder = l10n.t('{0} may use: {1}', name, accessWords(accessOf(policy, user).models));
  const chosen = await (await window.showQuickPick(items, { title, placeHolder, ...staysOpen }))?.choose();
  if (chosen === undefined) return;
  const change = { models: Object.keys(chosen).length === 0 ? null : chosen };
  await guard.edit({ kind: 'change-user', name, change });
}

/** Asks for names of models, in which `*` stands for anything. None to go by the role. */
async function askGlobs(title: string, question: string, globs: readonly string[]): Promise<string[] | undefined> {
  const text = await window.showInputBox({
    title,
    prompt: `${question} ${l10n.t('Names with commas between them, in which * stands for anything. Leave it empty to go by the role.')}`,
    placeHolder: 'llama3*, qwen*',
    value: globs.join(', '),
    ignoreFocusOut: true,
    validateInput: (value) => {
      const wrong = split(value).find((glob) => !modelGlob.safeParse(glob).success);
      return wrong === undefined ? undefined : l10n.t('{0} is not the name of a model.', wrong);
    },
  });
  return text === undefined ? undefined : split(text);
}

function split(text: string): string[] {
  return text.split(/[\s,]+/).filter((glob) => glob !== '');
}
