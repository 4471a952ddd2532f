import { l10n, type QuickPickItem, ThemeIcon, commands as vscodeCommands, window } from 'vscode';
import { refusalMessage, refusalStatus } from '../../guard/answers.ts';
import { modelNames } from '../../guard/forward/probe.ts';
import type { Explanation } from '../../guard/policy/decision.ts';
import { explain } from '../../guard/policy/explain.ts';
import { resolvePolicy } from '../../guard/policy/policy.ts';
import { routesOf } from '../../guard/routes.ts';
import type { GuardService } from '../guardService.ts';
import { commands } from '../ids.ts';
import { readGuardConfig } from '../settings.ts';
import { askUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Ollama is asked for its models for this long, in milliseconds. */
const patienceMs = 2_000;

/** What somebody would send. */
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly model?: string;
}

/** Says whether a user may send a request, and which rule decides. Nothing is sent. */
export async function explainAccess({ guard }: CommandContext, name?: string): Promise<void> {
  const title = l10n.t('Explain Access');
  const user = await askUser(guard.users, title, name);
  if (user === undefined) return;
  const request = await askRequest(title, user.name);
  if (request === undefined) return;
  const asked = namesModel(request) ? await withModel(guard, title, request) : request;
  if (asked === undefined) return;
  const explanation = explain(resolvePolicy(guard.policy), guard.users, { user: user.name, ...asked, now: Date.now() });
  await tell(user.name, asked, explanation);
}

function namesModel(asked: Asked): boolean {
  const route = routesOf(asked.path).find(({ method }) => method === asked.method);
  return route !== undefined && route.names !== 'none' && route.names !== 'path';
}

/** What people do with an Ollama, each by the request that does it. */
function usualRequests(): readonly (QuickPickItem & Asked)[] {
  const usual = (label: string, method: string, path: string) => ({
    label,
    description: `${method} ${path}`,
    method,
    path,
  });
  return [
    usual(l10n.t('See which models there are'), 'GET', '/api/tags'),
    usual(l10n.t('Look at one model'), 'POST', '/api/show'),
    usual(l10n.t('Chat'), 'POST', '/api/chat'),
    usual(l10n.t('Chat by the OpenAI API'), 'POST', '/v1/chat/completions'),
    usual(l10n.t('Chat by the Anthropic API'), 'POST', '/v1/messages'),
    usual(l10n.t('Complete a text'), 'POST', '/api/generate'),
    usual(l10n.t('Make embeddings'), 'POST', '/api/embed'),
    usual(l10n.t('Pull a model'), 'POST', '/api/pull'),
    usual(l10n.t('Create a model'), 'POST', '/api/create'),
    usual(l10n.t('Delete a model'), 'DELETE', '/api/delete'),
    usual(l10n.t('Search the web on your account'), 'POST', '/api/experimental/web_search'),
  ];
}

async function askRequest(title: string, name: string): Promise<Asked | undefined> {
  const other = { label: l10n.t('Another request…'), method: undefined, path: undefined };
  const placeHolder = l10n.t('What would {0} do?', name);
  const options = { title, placeHolder, matchOnDescription: true, ...staysOpen };
  const choice = await window.showQuickPick([...usualRequests(), other], options);
  if (choice?.method !== undefined) return { method: choice.method, path: choice.path };
  return choice && (await askLine(title));
}

async function askLine(title: string): Promise<Asked | undefined> {
  const line = /^([A-Z]+)\s+(\/\S*)$/;
  const text = await window.showInputBox({
    title,
    prompt: l10n.t('A method and a path'),
    placeHolder: 'POST /v1/embeddings',
    ignoreFocusOut: true,
    validateInput: (value) =>
      value === '' || line.test(value) ? undefined : l10n.t('Type a method and a path, such as GET /api/ps'),
  });
  const [, method, path] = line.exec(text ?? '') ?? [];
  return method === undefined || path === undefined ? undefined : { method, path };
}

/** Asks for the model too: one of Ollama's, or one that is typed. */
async function withModel(guard: GuardService, title: string, asked: Asked): Promise<Asked | undefined> {
  const names = await modelNames(guard.endpoint?.upstream ?? readGuardConfig().upstream, patienceMs);
  const other = { label: l10n.t('Another model…'), model: undefined };
  const items = [...names.map((model) => ({ label: model, model })), other];
  const placeHolder = l10n.t('Which model?');
  const choice = names.length === 0 ? other : await window.showQuickPick(items, { title, placeHolder, ...staysOpen });
  if (choice === undefined) return undefined;
  const typed = () =>
    window.showInputBox({ title, prompt: placeHolder, placeHolder: 'llama3.2', ignoreFocusOut: true });
  const model = choice.model ?? (await typed());
  return model ? { ...asked, model } : undefined;
}

/** The answer in one sentence, with what the caller is told and the rule that decided; the others on demand. */
async function tell(name: string, { method, path, model }: Asked, explanation: Explanation): Promise<void> {
  const { allowed, refusal, rules } = explanation;
  const what = [`${method} ${path}`, ...(model === undefined ? [] : [model])].join(', ');
  const answer = allowed ? l10n.t('Yes, {0} may: {1}.', name, what) : l10n.t('No, {0} may not: {1}.', name, what);
  const told =
    refusal === undefined
      ? []
      : [l10n.t('{0} is told: {1} {2}', name, refusalStatus(refusal), refusalMessage(refusal))];
  const last = rules.at(-1);
  const why = last === undefined ? [] : [l10n.t('Decided by {0}: {1}.', last.place, last.says)];
  const showRules = l10n.t('Show Rules');
  const editAccess = l10n.t('Edit Access');
  const choice = await window.showInformationMessage([answer, ...told, ...why].join(' '), showRules, editAccess);
  if (choice === showRules) await listRules(answer, explanation);
  if (choice === editAccess) await vscodeCommands.executeCommand(commands.editAccess, name);
}

/** Every rule that was asked, in order. */
async function listRules(title: string, { allowed, rules }: Explanation): Promise<void> {
  const items = rules.map(({ place, says }, index) => {
    const decided = index === rules.length - 1;
    return {
      label: place,
      description: says,
      ...(decided && { detail: l10n.t('This rule decided') }),
      iconPath: new ThemeIcon(!decided ? 'dash' : allowed ? 'pass' : 'error'),
    };
  });
  const placeHolder = l10n.t('The rules that were asked, in order');
  await window.showQuickPick(items, { title, placeHolder, matchOnDescription: true, ...staysOpen });
}
