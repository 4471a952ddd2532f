/** What a person sees and does in a VS Code window. Selectors are those of VS Code 1.139. */
import type { Locator, Page } from 'playwright-core';

/** How each theme is asked for, and what tells that it is there. */
const themes = {
  dark: { colorScheme: 'dark', forcedColors: 'none', className: 'vs-dark' },
  light: { colorScheme: 'light', forcedColors: 'none', className: 'vs' },
  'high-contrast': { colorScheme: 'dark', forcedColors: 'active', className: 'hc-black' },
  'high-contrast-light': { colorScheme: 'light', forcedColors: 'active', className: 'hc-light' },
} as const;

/** A command that is not in the palette after that many milliseconds is looked for again, so many times in all. */
const paletteMs = 3_000;
const paletteTries = 4;

/** A theme of VS Code. */
export type Theme = keyof typeof themes;

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
  async palette(title: string, timeout?: number): Promise<void> {
    await this.page.keyboard.press('F1');
    await this.quickField.fill(`>${title}`, { ...(timeout !== undefined && { timeout }) });
  }

  /**
   * Runs a command by its title in the palette, "Category: Title". A command that is enabled only a moment later is not
   * in a palette that is open already, and one that loses the focus closes, so it is opened anew until it is chosen.
   */
  async command(title: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.palette(title, paletteMs);
        await this.quickRows(title).first().click({ timeout: paletteMs });
        return;
      } catch (error) {
        if (tries === paletteTries) throw error;
        await this.dismiss();
      }
    }
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

  /** Switches the window to a theme, live: it follows the browser's preferences. */
  async theme(theme: Theme): Promise<void> {
    const { colorScheme, forcedColors, className } = themes[theme];
    await this.page.emulateMedia({ colorScheme, forcedColors });
    await this.page.locator(`.monaco-workbench.${className}`).waitFor();
  }

  /**
   * Makes VS Code's secret storage fail, or work again, from the next reload on. In a browser the secrets are in
   * `localStorage`; once they could not be read, every call of an extension is rejected.
   */
  async failSecrets(fail: boolean): Promise<void> {
    await this.page.evaluate((on) => sessionStorage.setItem('secrets fail', String(on)), fail);
    await this.page.addInitScript(() => {
      const { getItem } = Storage.prototype;
      Storage.prototype.getItem = function (key) {
        const fails = key === 'secrets.provider' && getItem.call(sessionStorage, 'secrets fail') === 'true';
        if (fails) throw new Error('the keyring is locked');
        return getItem.call(this, key);
      };
    });
  }

  /** The window dies without having said a word to anybody. */
  async crash(): Promise<void> {
    const session = await this.page.context().newCDPSession(this.page);
    const crashed = this.page.waitForEvent('crash');
    // A page that has crashed answers nothing, this neither.
    void session.send('Page.crash').catch(() => undefined);
    await crashed;
  }

  /** Opens the extension's container in the side bar. */
  async openSideBar(title: string): Promise<void> {
    // A click on the icon of what is open closes it.
    const open = this.page.locator('.sidebar .composite.title').filter({ hasText: title });
    if (!(await open.isVisible())) {
      await this.page.locator(`.activitybar a.action-label[aria-label^="${title}"]`).click();
    }
    await this.page.locator('.sidebar .pane-header').first().waitFor();
  }

  /** A view of the side bar by its title. */
  view(title: string): Locator {
    return this.page
      .locator('.sidebar .pane')
      .filter({ has: this.page.locator(`.pane-header[aria-label^="${title}"]`) });
  }

  /** The rows of a view whose label holds `text`. */
  viewRows(view: string, text: string | RegExp): Locator {
    return this.view(view).locator('.monaco-list-row').filter({ hasText: text });
  }

  /** Presses an inline action of a row. */
  async rowAction(row: Locator, action: string): Promise<void> {
    await row.hover();
    await row
      .getByRole('button', { name: action })
      .or(row.locator(`a.action-label[aria-label^="${action}"]`))
      .first()
      .click();
  }

  /** What "Developer: Show Running Extensions" lists in view: the milliseconds that activation took, by extension name. */
  async activationTimes(): Promise<Readonly<Record<string, number>>> {
    const times = await this.page.locator('.runtime-extensions-editor .monaco-list-row').evaluateAll((rows) =>
      rows.flatMap((row) => {
        const [, ms] = /(\d+)ms/.exec(row.querySelector('.activation-time')?.textContent ?? '') ?? [];
        return ms === undefined ? [] : [[row.ariaLabel ?? '', Number(ms)] as const];
      }),
    );
    return Object.fromEntries(times);
  }

  async #ready(): Promise<void> {
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor({ timeout: 60_000 });
  }
}
