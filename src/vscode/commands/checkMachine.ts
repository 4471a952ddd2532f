import { l10n, type QuickInputButton, type QuickPickItem, ThemeIcon, commands as vscodeCommands, window } from 'vscode';
import { type CheckupInput, gatherFacts } from '../../checkup/facts.ts';
import { type Finding, findings, type Remedy, type Severity } from '../../checkup/findings.ts';
import { commands } from '../ids.ts';
import { showError } from '../messages.ts';
import { passwordStore } from '../passwordStore.ts';
import { readGuardConfig } from '../settings.ts';
import { errorWords, inWords } from '../words.ts';
import type { CommandContext } from './context.ts';

const icons: Readonly<Record<Severity, string>> = {
  danger: 'error',
  warning: 'warning',
  hint: 'info',
  ok: 'pass',
};

interface FindingItem extends QuickPickItem {
  readonly finding?: Finding;
}

/** Looks for what makes sharing dangerous on this computer and shows each finding with a way out. */
export async function checkMachine(context: CommandContext): Promise<void> {
  const { upstream } = context;
  const input = await inputOf(context);
  const pick = window.createQuickPick<FindingItem>();
  const abort = new AbortController();
  pick.title = l10n.t('Check This Machine');
  pick.ignoreFocusOut = true;
  pick.matchOnDetail = true;
  pick.busy = true;
  pick.onDidHide(() => {
    abort.abort();
    pick.dispose();
  });
  pick.onDidAccept(() => act(pick.activeItems[0]));
  pick.onDidTriggerItemButton(({ item }) => act(item));
  const act = (item: FindingItem | undefined) => {
    if (item?.finding === undefined) return;
    pick.hide();
    // The command is over by now, so nobody else hears of an error.
    remedy(context, item.finding).catch((error: unknown) => showError(context.log, errorWords(error) ?? String(error)));
  };
  pick.show();

  try {
    const facts = await gatherFacts(input, {
      signal: abort.signal,
      onProgress: (step) => {
        pick.placeholder = inWords(step);
      },
    });
    void upstream.ask();
    const found = findings(facts);
    const open = found.filter(({ severity }) => severity !== 'ok').length;
    pick.busy = false;
    pick.placeholder = open === 0 ? l10n.t('Nothing found') : l10n.t('Choose a finding to see what to do');
    pick.items = found.map(itemOf);
  } catch (error) {
    pick.hide();
    if (!abort.signal.aborted) throw error;
  }
}

/** @throws GuardError `config-invalid`. */
async function inputOf({ guard }: CommandContext): Promise<CheckupInput> {
  const { users, lastUsed, storage, state } = guard;
  const store = await passwordStore();
  return {
    upstream: guard.endpoint?.upstream ?? readGuardConfig().upstream,
    state,
    users,
    lastUsed,
    secretStorage: storage === 'memory' ? 'memory' : 'ok',
    ...(store !== undefined && { passwordStore: store }),
    environment: process.env,
    now: Date.now(),
  };
}

function itemOf(finding: Finding): FindingItem {
  return {
    label: inWords(finding.title),
    detail: inWords(finding.detail),
    iconPath: new ThemeIcon(icons[finding.severity]),
    buttons: [buttonOf(finding.remedy)],
    finding,
  };
}

function buttonOf({ kind }: Remedy): QuickInputButton {
  return kind === 'explain'
    ? { iconPath: new ThemeIcon('question'), tooltip: l10n.t('Explain') }
    : { iconPath: new ThemeIcon('wrench'), tooltip: l10n.t('Fix') };
}

/** Says a finding in full and offers the way out: long sentences do not fit into a row. */
async function remedy({ openDocs, openSettings }: CommandContext, finding: Finding): Promise<void> {
  const explain = l10n.t('Explain');
  const fix = fixOf(finding.remedy);
  const message = `${inWords(finding.title)}. ${inWords(finding.detail)}`;
  const choice = await window.showInformationMessage(message, ...(fix === undefined ? [] : [fix.label]), explain);
  if (choice === explain) await openDocs('check', finding.id);
  else if (choice !== undefined && choice === fix?.label) await fix.run();

  function fixOf(way: Remedy): { readonly label: string; readonly run: () => Promise<void> } | undefined {
    if (way.kind === 'explain') return undefined;
    if (way.kind === 'setting') return { label: l10n.t('Open Setting'), run: () => openSettings(way.name) };
    if (way.id === 'stopSharing') return { label: l10n.t('Stop Sharing'), run: () => run(commands.stopSharing) };
    return { label: l10n.t('Set Expiry'), run: () => run(commands.setExpiry, way.argument) };
  }
}

async function run(command: string, argument?: string): Promise<void> {
  await vscodeCommands.executeCommand(command, argument);
}
