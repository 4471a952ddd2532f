/** What a person sees and does in a VS Code window. Selectors are those of VS Code 1.139. */
import type { Locator, Page } from 'playwright-core';

/** One window's page object. */
export class Workbench {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(20_000);
  }

  /** Opens the editor at `url`. */
  async open(url: string): Promise<void> {
    await this.page.goto(url);
    await this.#ready();
  }

  /** Reloads the window: a new extension host, with the settings as they are now. */
  async reload(): Promise<void> {
    const loaded = this.page.waitForEvent('load');
    await this.command('Developer: Reload Window');
    await loaded;
    await this.#ready();
  }

  /** The open palette, quick pick or input box. */
  get quickInput(): Locator {
    return this.page.locator('.quick-input-widget:visible');
  }

  /** The field of the open palette, quick pick or input box. */
  get quickField(): Locator {
    return this.quickInput.locator('.quick-input-box input');
  }

  /** The rows of the open quick pick that hold `text`. */
  quickRows(text?: string): Locator {
    const rows = this.quickInput.locator('.monaco-list-row');
    return text === undefined ? rows : rows.filter({ hasText: text });
  }

  /** Opens the palette and types `title`, without running anything. */
  async palette(title: string): Promise<void> {
    await this.page.keyboard.press('F1');
    await this.quickField.fill(`>${title}`);
  }

  /** Runs a command by its title in the palette, "Category: Title". */
  async command(title: string): Promise<void> {
    await this.palette(title);
    await this.quickRows(title).first().click();
  }

  /** Waits for the input box that shows `text` (its title, prompt or validation message). */
  async expectQuick(text: string): Promise<void> {
    await this.quickInput.getByText(text).first().waitFor();
  }

  /** Waits until the open input box hides what is typed. */
  async expectPasswordField(): Promise<void> {
    await this.quickInput.locator('.quick-input-box input[type="password"]').waitFor();
  }

  /** Fills the open input box and accepts it. */
  async enter(value: string): Promise<void> {
    await this.quickField.fill(value);
    await this.quickField.press('Enter');
  }

  /** Picks the first row with `label`. */
  async pick(label: string): Promise<void> {
    await this.quickRows(label).first().click();
  }

  /** Leaves the open palette, quick pick or input box. */
  async dismiss(): Promise<void> {
    await this.page.keyboard.press('Escape');
    await this.quickInput.waitFor({ state: 'hidden' });
  }

  /** A status bar item of an extension. */
  statusItem(extension: string, item: string): Locator {
    return this.page.locator(`[id="${extension}.${item}"]`);
  }

  /** The notifications on show, or those of them that hold `text`. */
  toasts(text?: string | RegExp): Locator {
    const all = this.page.locator('.notifications-toasts .notification-list-item');
    return text === undefined ? all : all.filter({ hasText: text });
  }

  /** Waits for the notification that holds `text` and gives all it says. */
  async toastText(text: string | RegExp): Promise<string> {
    return await this.toasts(text).first().locator('.notification-list-item-message').innerText();
  }

  /** Presses a button of the notification that holds `text`. */
  async toastButton(text: string | RegExp, button: string): Promise<void> {
    const toast = this.toasts(text).first();
    await toast.hover();
    await toast.getByRole('button', { name: button, exact: true }).click();
  }

  /** Clears every notification. */
  async clearToasts(): Promise<void> {
    await this.command('Notifications: Clear All Notifications');
    await this.toasts().first().waitFor({ state: 'hidden' });
  }

  /** Presses a button of the modal dialog that asks whether to go on. */
  async confirm(button: string): Promise<void> {
    await this.page.locator('.monaco-dialog-box').getByRole('button', { name: button, exact: true }).click();
  }

  /** What is on the clipboard. */
  async clipboard(): Promise<string> {
    return await this.page.evaluate(() => navigator.clipboard.readText());
  }

  /** Puts `text` on the clipboard. */
  async setClipboard(text: string): Promise<void> {
    await this.page.evaluate((value) => navigator.clipboard.writeText(value), text);
  }

  /** Switches the window between its dark and its light theme. */
  async theme(scheme: 'dark' | 'light'): Promise<void> {
    await this.page.emulateMedia({ colorScheme: scheme });
    await this.page.locator(`.monaco-workbench.${scheme === 'dark' ? 'vs-dark' : 'vs'}`).waitFor();
  }

  async #ready(): Promise<void> {
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor({ timeout: 60_000 });
  }
}
