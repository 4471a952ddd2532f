import { QuickInputButtons, type QuickPickItem, ThemeIcon, window } from 'vscode';

/** One answer to a step's question. */
export interface StepItem extends QuickPickItem {
  /** A codicon. */
  readonly iconName?: string;
  /** Takes the answer; false goes back to the question. */
  choose(): boolean | Promise<boolean>;
}

/** One question of several. */
export interface Step {
  readonly placeholder: string;
  readonly items: () => readonly StepItem[];
}

/**
 * Asks question after question, with a way back.
 *
 * @returns whether all were answered.
 */
export async function multiStep(title: string, steps: readonly Step[]): Promise<boolean> {
  for (let at = 0; at < steps.length; ) {
    const answer = await ask(title, steps, at);
    if (answer === undefined) return false;
    if (answer === 'back') at -= 1;
    else if (await answer.choose()) at += 1;
  }
  return true;
}

function ask(title: string, steps: readonly Step[], at: number): Promise<StepItem | 'back' | undefined> {
  const { promise, resolve } = Promise.withResolvers<StepItem | 'back' | undefined>();
  const pick = window.createQuickPick<StepItem>();
  pick.title = title;
  pick.step = at + 1;
  pick.totalSteps = steps.length;
  pick.placeholder = steps[at]?.placeholder ?? '';
  pick.items = (steps[at]?.items() ?? []).map((item) =>
    item.iconName === undefined ? item : { ...item, iconPath: new ThemeIcon(item.iconName) },
  );
  pick.buttons = at > 0 ? [QuickInputButtons.Back] : [];
  pick.ignoreFocusOut = true;
  pick.onDidTriggerButton(() => resolve('back'));
  pick.onDidAccept(() => resolve(pick.selectedItems[0]));
  pick.onDidHide(() => resolve(undefined));
  pick.show();
  return promise.finally(() => pick.dispose());
}
