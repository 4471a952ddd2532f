/** The join page of a real guard in a real browser: over TLS, with its Content Security Policy in force. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { parseInviteLink } from '../../src/guard/share/inviteLink.ts';
import { projectRoot } from './project.ts';
import { chromiumPath } from './setup.ts';

const name = 'gpu.example.org';
let starting: Promise<Browser> | undefined;
after(async () => (await starting)?.close());

/** One browser for all; the name is the guard's. */
function browser(): Promise<Browser> {
  const args = ['--no-sandbox', `--host-resolver-rules=MAP ${name} 127.0.0.1`];
  starting ??= chromium.launch({ executablePath: chromiumPath, args });
  return starting;
}

/** A guard with alice and bob, which stops with the test, and a way to invite them to its page. */
async function startGuard(t: TestContext, config: object = { tls: { mode: 'auto' } }) {
  const all = { host: '127.0.0.1', port: 0, upstream: 'http://127.0.0.1:1', allowedHosts: [name], ...config };
  const child = fork(path.join(projectRoot, 'test', 'support', 'joinGuard.ts'), [JSON.stringify(all)], {
    execArgv: ['--disable-warning=DEP0060'],
  });
  t.after(() => child.kill());
  const next = async () => (await once(child, 'message'))[0];
  const ask = (call: object | 'redeemed') => {
    child.send(call);
    return next();
  };
  const { url }: { readonly url: string } = await next();
  return {
    url,
    invite: (user: string, address = url): Promise<string> => ask({ invite: user, address }),
    /** How many invites were exchanged. */
    redeemed: (): Promise<number> => ask('redeemed'),
  };
}

/** Opens a page, of which anything that the policy refuses, and any other error, ends up in `problems`. */
async function openPage(t: TestContext, options: BrowserContextOptions = {}) {
  const context = await (await browser()).newContext({ ignoreHTTPSErrors: true, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  const problems: string[] = [];
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', ({ violatedDirective }) => {
      console.error(`refused by ${violatedDirective}`);
    });
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('requestfailed', (request) => problems.push(`${request.url()} failed`));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  return { context, page, problems };
}

const show = (page: Page) => page.getByRole('button', { name: 'Show my key' });
const key = (page: Page) => page.locator('#key');
const heading = (page: Page, text: string) => page.getByRole('heading', { level: 1, name: text });

/** The addresses that the browser could go back to. */
async function historyOf(page: Page): Promise<string> {
  const session = await page.context().newCDPSession(page);
  const { entries } = await session.send('Page.getNavigationHistory');
  return entries.map((entry) => entry.url).join('\n');
}

test('an invite is exchanged at a click and not before, and shows what to do with the key', async (t) => {
  const { url, invite, redeemed } = await startGuard(t);
  const { page, problems, context } = await openPage(t);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const link = await invite('alice');
  const { code, caSha256 } = parseInviteLink(link);
  const fragment = link.split('#')[1] ?? '';
  await page.goto(link);
  await heading(page, 'You are invited').waitFor();
  assert.match(await page.locator('#invited').innerText(), /Hello alice\./);
  assert.equal(page.url(), `${url}/_guard/join`);
  assert.ok(!(await historyOf(page)).includes(fragment.slice(0, 20)));
  assert.ok(!(await page.content()).includes(code));
  const editor = await page.getByRole('link', { name: 'Open in VS Code' }).getAttribute('href');
  assert.equal(editor, `vscode://ollama-guard.ollama-guard/join#${fragment}`);
  await page.getByRole('button', { name: 'Copy the link' }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
  assert.equal(await redeemed(), 0);

  await show(page).click();
  await heading(page, 'Your API key').waitFor();
  const shown = await key(page).innerText();
  assert.match(shown, /^og_[a-z2-9]{10}_[A-Za-z0-9_-]{43}$/);
  assert.match(await page.locator('#joined').innerText(), /It works until \w+ \d+, \d{4}/);
  assert.equal(await page.locator('#digest').innerText(), caSha256);
  assert.equal(await page.locator('#open-editor').isVisible(), false, 'there is nothing left to open there');

  await page.locator('#copy-key').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), shown);
  assert.equal(await page.getByRole('status').innerText(), 'API key copied');

  const snippet = page.getByRole('textbox', { name: 'Use it' });
  const bash = await snippet.inputValue();
  assert.ok(bash.includes(shown) && bash.includes(`${url}/api/chat`), bash);
  await page.getByLabel('Commands for').selectOption('powershell');
  assert.match(await snippet.inputValue(), /curl\.exe/);
  await page.getByLabel('Program').selectOption({ label: 'Python (OpenAI SDK)' });
  assert.match(await snippet.inputValue(), /from openai import/);
  await page.locator('#copy-snippet').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await snippet.inputValue());

  const downloading = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download the CA certificate' }).click();
  assert.equal((await downloading).suggestedFilename(), 'ollama-guard-ca.pem');
  assert.deepEqual(problems, []);
  assert.ok(!(await historyOf(page)).includes('#'));
});

test('the policy is in force, and the watch over it works', async (t) => {
  const { invite } = await startGuard(t);
  const { page, problems } = await openPage(t);
  await page.goto(await invite('alice'));
  await page.evaluate(async () => {
    document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.owned = true' }));
    await fetch('https://127.0.0.1:1').catch(() => undefined);
  });
  assert.equal(await page.evaluate(() => 'owned' in window), false);
  for (const directive of ['script-src', 'connect-src']) {
    assert.ok(
      problems.some((problem) => problem.includes(directive)),
      directive,
    );
  }
});

test('the second use says so in words, and shows nothing', async (t) => {
  const { invite } = await startGuard(t);
  const link = await invite('alice');
  const first = await openPage(t);
  await first.page.goto(link);
  await show(first.page).click();
  await heading(first.page, 'Your API key').waitFor();
  const second = await openPage(t);
  await second.page.goto(link);
  await show(second.page).click();
  await heading(second.page, 'This invite cannot be used').waitFor();
  assert.match(await second.page.locator('main').innerText(), /This invite was used already.* Ask for a new one\./);
  assert.equal(await key(second.page).innerText(), '');
});

test('without an invite in it the page says so, and another link in the same tab is taken', async (t) => {
  const { url, invite } = await startGuard(t);
  const { page, problems } = await openPage(t);
  for (const fragment of [
    '',
    '#',
    '#x',
    '#%3Cb%3E',
    `#${Buffer.from('{"v":1,"c":"oi_","u":"<b>"}').toString('base64url')}`,
  ]) {
    await page.goto(`${url}/_guard/health`, { timeout: 10_000 }).catch(() => undefined);
    await page.goto(`${url}/_guard/join${fragment}`);
    await heading(page, 'There is no invite in this link').waitFor();
  }
  await page.goto(await invite('alice'));
  await page.goto(await invite('bob'));
  await page.getByText('Hello bob.').waitFor();
  assert.ok(!page.url().includes('#'));
  await show(page).click();
  await heading(page, 'Your API key').waitFor();
  assert.equal(await page.locator('#joined-user').innerText(), 'bob');
  assert.deepEqual(
    problems.filter((problem) => !problem.includes('favicon') && !problem.includes('401')),
    [],
  );
});

test('an endpoint that does not answer, or asks to wait, can be tried again', async (t) => {
  const { url, invite } = await startGuard(t);
  const { page } = await openPage(t);
  await page.goto(await invite('alice'));
  await page.route('**/_guard/join', (route) => route.abort());
  await show(page).click();
  assert.match(await page.getByRole('alert').innerText(), /did not answer.*try again/);
  await page.unroute('**/_guard/join');

  const guess = { code: `oi_${'a'.repeat(10)}_${'A'.repeat(22)}` };
  for (let i = 0; i < 10; i++) await page.request.post(`${url}/_guard/join`, { data: guess });
  await show(page).click();
  await page.getByText('Too many wrong invites').waitFor();
  assert.match(await page.getByRole('alert').innerText(), /Wait \d seconds\./);
  assert.equal(await show(page).isVisible(), true);
});

test('by keyboard alone, and what has changed is where reading goes on', async (t) => {
  const { invite } = await startGuard(t);
  const { page } = await openPage(t);
  const focused = () => page.evaluate(() => document.activeElement?.id);
  await page.goto(await invite('alice'));
  assert.equal(await focused(), 'invited-title');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'redeem');
  await page.keyboard.press('Enter');
  await heading(page, 'Your API key').waitFor();
  assert.equal(await focused(), 'joined-title');
  assert.equal(await page.title(), 'Your API key - Ollama Guard');
  const order: (string | undefined)[] = [];
  for (let i = 0; i < 6; i++) {
    await page.keyboard.press('Tab');
    order.push(await focused());
  }
  assert.deepEqual(order, ['copy-key', 'copy-address', 'program', 'shell', 'snippet', 'copy-snippet']);
});

test('a key that was not copied is not left behind unasked', async (t) => {
  const { invite } = await startGuard(t);
  const { page, context } = await openPage(t);
  await context.grantPermissions(['clipboard-write']);
  await page.goto(await invite('alice'));
  await show(page).click();
  await heading(page, 'Your API key').waitFor();
  const asking = page.waitForEvent('dialog');
  const closing = page.close({ runBeforeUnload: true });
  const dialog = await asking;
  assert.equal(dialog.type(), 'beforeunload');
  await dialog.dismiss();
  await closing;
  await page.locator('#copy-key').click();
  await page.getByText('API key copied').waitFor({ state: 'attached' });
  await Promise.all([page.waitForEvent('close'), page.close({ runBeforeUnload: true })]);
});

test('without encryption the page warns, and copies all the same', async (t) => {
  const { url, invite } = await startGuard(t, {});
  const { page, context, problems } = await openPage(t);
  const address = url.replace('127.0.0.1', name);
  await page.goto(await invite('alice', address));
  assert.equal(await page.evaluate(() => isSecureContext), false);
  assert.match(await page.locator('#invited').innerText(), /This page is not encrypted/);
  await show(page).click();
  await heading(page, 'Your API key').waitFor();
  assert.equal(await page.locator('#certificate').isVisible(), false);
  await page.locator('#copy-key').click();
  await page.getByText('API key copied').waitFor({ state: 'attached' });
  const shown = await key(page).innerText();
  await context.grantPermissions(['clipboard-read']);
  const other = await context.newPage();
  await other.goto(`${url}/_guard/join`);
  assert.equal(await other.evaluate(() => navigator.clipboard.readText()), shown);
  assert.deepEqual(
    problems.filter((problem) => !problem.startsWith('The Cross-Origin-Opener-Policy header has been ignored')),
    [],
  );
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`in ${colorScheme}, from a phone to a desktop, nothing is cut off and everything can be read`, async (t) => {
    const { invite } = await startGuard(t);
    for (const width of [320, 768, 1_400]) {
      const { page } = await openPage(t, { colorScheme, viewport: { width, height: 800 } });
      await page.goto(await invite('alice'));
      await fits(page);
      await show(page).click();
      await heading(page, 'Your API key').waitFor();
      const programs = page.locator('#program option');
      for (const value of await programs.evaluateAll((all) => all.map((option) => option.getAttribute('value')))) {
        await page.getByLabel('Program').selectOption(value);
        await fits(page);
      }
    }
  });
}

/** Nothing is wider than what it is in, and text stands out from its ground by 4.5 to 1 (WCAG 2.2, 1.4.3 and 1.4.10). */
async function fits(page: Page): Promise<void> {
  const wrong = await page.evaluate(() => {
    const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = (color: string) => {
      const [r = 0, g = 0, b = 0] = channels(color).map((channel) => {
        const part = channel / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element: Element | null): string => {
      if (element === null) return 'rgb(255, 255, 255)';
      const color = getComputedStyle(element).backgroundColor;
      return channels(color)[3] === 0 ? ground(element.parentElement) : color;
    };
    const main = document.querySelector('main') ?? document.body;
    const edge = main.getBoundingClientRect().right - Number.parseFloat(getComputedStyle(main).paddingRight);
    return [...main.querySelectorAll('*')]
      .filter((element) => element instanceof HTMLElement && element.offsetParent !== null)
      .flatMap((element) => {
        const [one = 0, other = 0] = [getComputedStyle(element).color, ground(element)].map(luminance);
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        const what = `${element.tagName} ${element.id}`;
        return [
          ...(element.getBoundingClientRect().right > edge ? [`${what} is too wide`] : []),
          ...(contrast < 4.5 ? [`${what} has a contrast of ${contrast}`] : []),
        ];
      });
  });
  assert.deepEqual(wrong, []);
}

test('without JavaScript the page says how else to use the link', async (t) => {
  const { invite } = await startGuard(t);
  const { page } = await openPage(t, { javaScriptEnabled: false });
  await page.goto(await invite('alice'));
  assert.match(await page.locator('main').innerText(), /needs JavaScript.*ollama-guard join/);
  assert.equal(await page.locator('#redeem').isVisible(), false);
});
