/** The scenes of README.md's pictures: a developer who shares an Ollama with teammates, one of whom is using it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Locator } from 'playwright-core';
import { basic, bearer, get, isOpen, Stream } from './client.ts';
import { freePort, until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

const hidden = [
  // What a desktop VS Code has not: the remote indicator, forwarded ports, the browser's keyboard layout.
  '[id="status.host"]',
  '[id="status.forwardedPorts"]',
  '[id="status.workbench.keyboardLayout"]',
  // The sign of an empty editor, of which no more than an edge would be seen.
  '.letterpress',
  // It flashes when a view is drawn anew.
  '.sidebar .monaco-progress-container',
];
const style = `${hidden.join()} { display: none !important; }`;

/** What the demo Ollama of the pictures has installed, and what is wrong with it. */
const models = ['llama3.2:3b', 'qwen3:8b'] as const;
const dangers = {
  origins: '*',
  version: '0.14.0',
  account: 'signed-in',
  cloudModels: ['gpt-oss:120b-cloud'],
} as const;

/** The program in the editor. */
const program = `import os

from openai import OpenAI

client = OpenAI(
    base_url="http://127.0.0.1:11435/v1",
    api_key=os.environ["OLLAMA_GUARD_KEY"],
)
stream = client.chat.completions.create(
    model="qwen3:8b",
    messages=[{"role": "user", "content": "Hello"}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content, end="")
`;

/** Wide enough for a walkthrough with its pictures, no wider than the side bar needs, tall enough for every finding. */
const sizes = {
  walkthrough: { width: 1200, height: 740 },
  sideBar: { width: 1000, height: 620 },
  quickPick: { width: 1000, height: 900 },
} as const;

/** Takes every picture into `folder`, and gives the files. */
export async function takePictures(folder: string): Promise<string[]> {
  const fonts = useInter();
  const guard = await openGuard();
  try {
    return await new Photographer(guard, folder).takeAll();
  } finally {
    await guard.close();
    rmSync(fonts, { recursive: true });
  }
}

/** Debian's plain font makes every row too wide; Inter is close to what desktops have. Gives the folder to remove. */
function useInter(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ollama-guard-fonts-'));
  process.env.FONTCONFIG_FILE = path.join(folder, 'fonts.conf');
  writeFileSync(
    process.env.FONTCONFIG_FILE,
    `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  <match target="pattern">
    <test qual="first" name="family"><string>DejaVu Sans</string></test>
    <edit name="family" mode="prepend_first" binding="strong"><string>Inter</string></edit>
  </match>
</fontconfig>
`,
  );
  return folder;
}

async function openGuard(): Promise<GuardWindow> {
  return await GuardWindow.open({
    port: await usualPort(11_435),
    demo: { port: await usualPort(11_434), tokensPerSecond: 24, tokens: 1_000_000, ...dangers },
    deviceScaleFactor: 2,
    settings: {
      'breadcrumbs.enabled': false,
      'editor.minimap.enabled': false,
      'editor.renderLineHighlight': 'none',
      'workbench.tips.enabled': false,
    },
  });
}

/** The port that everybody knows, so that the pictures show it. */
async function usualPort(port: number): Promise<number> {
  if (!(await isOpen(port))) return port;
  console.log(`Port ${port} is taken, so the pictures will show another one.`);
  return await freePort();
}

/** Sends JSON and waits for the whole answer. */
async function send(url: string, body: object, headers: Readonly<Record<string, string>>, method = 'POST') {
  const options = { method, headers: { 'content-type': 'application/json', ...headers } };
  const stream = await Stream.open(url, options, JSON.stringify(body));
  await until(`an answer of ${url}`, () => stream.outcome !== undefined);
}

/** Brings one window from scene to scene. */
class Photographer {
  readonly #guard: GuardWindow;
  readonly #folder: string;
  readonly #pictures: string[] = [];

  constructor(guard: GuardWindow, folder: string) {
    this.#guard = guard;
    this.#folder = folder;
  }

  async takeAll(): Promise<string[]> {
    const { page } = this.#guard.workbench;
    await this.#installModels();
    await page.setViewportSize(sizes.walkthrough);
    await this.#walkthrough();
    await page.setViewportSize(sizes.sideBar);
    const stream = await this.#sideBar();
    await page.setViewportSize(sizes.quickPick);
    await this.#copyForClient();
    await this.#check();
    await stream.leave();
    return this.#pictures;
  }

  /** Puts models with well-known names in place of the demo's own. */
  async #installModels(): Promise<void> {
    const { url } = this.#guard.demo;
    const { body } = await get(`${url}/api/tags`);
    const own = [...body.matchAll(/"name":"([^"]*demo[^"]*)"/g)].map(([, name]) => name);
    for (const model of own) await send(`${url}/api/delete`, { model }, {}, 'DELETE');
    for (const model of models) await send(`${url}/api/pull`, { model }, {});
  }

  /** The first three steps are done. */
  async #walkthrough(): Promise<void> {
    const { workbench } = this.#guard;
    await workbench.command('View: Close Primary Side Bar');
    await this.#guard.run('Open Walkthrough');
    const steps = workbench.page.locator('.getting-started-step');
    await steps.first().waitFor();
    await this.#openCheck();
    await workbench.dismiss();
    await this.#guard.addUser('alice', 'member');
    await this.#guard.run('Start');
    await this.#guard.expectStatus(texts.status.running);
    await until('three steps are done', async () => (await steps.locator('[aria-checked="true"]').count()) === 3);
    await steps.filter({ hasText: 'Send the command' }).click();
    const picture = workbench.page.frameLocator('iframe.webview.ready').last().frameLocator('iframe#active-frame');
    await picture.locator('svg').waitFor();
    await this.#take('walkthrough');
    await workbench.command('View: Close All Editors');
  }

  /** Three users and what they did; alice's last request goes on. */
  async #sideBar(): Promise<Stream> {
    const { url, workbench } = this.#guard;
    const bob = await this.#guard.addUser('bob', 'viewer');
    await this.#guard.addUser('dana', 'admin');
    await this.#guard.run('Disable User');
    await workbench.pick('dana');
    await workbench.clearToasts();
    const snippet = await this.#guard.copied(async () => {
      await this.#guard.run('Copy for Client');
      await workbench.pick('alice');
      await workbench.pick('Python (OpenAI SDK)');
    });
    const alice = bearer(/og_[\w-]+/.exec(snippet)?.[0] ?? '');
    await workbench.clearToasts();

    await this.#openProgram();
    await workbench.openSideBar('Ollama Guard');
    await this.#widenSideBar(410);
    await workbench.viewRows('Users', 'alice').locator('.monaco-tl-twistie').click();
    const messages = [{ role: 'user', content: 'Hello' }];
    await send(`${url}/api/generate`, { model: 'llama3.2:3b', prompt: 'Hello', options: { num_predict: 60 } }, alice);
    await send(`${url}/v1/chat/completions`, { model: 'qwen3:8b', messages, max_tokens: 80 }, alice);
    await get(`${url}/api/tags`, basic('bob', bob));
    const options = { method: 'POST', headers: { 'content-type': 'application/json', ...alice } };
    const stream = await Stream.open(`${url}/api/chat`, options, JSON.stringify({ model: 'qwen3:8b', messages }));
    const row = workbench.viewRows('Activity', /qwen3:8b.*\b1\d\d tokens/);
    await row.waitFor();
    // A row that is selected shows its button.
    await row.click();
    await this.#take('side-bar');
    // Nothing behind the quick picks; and a view that is drawn anew while it loses the focus would close them.
    await workbench.command('View: Close All Editors');
    await workbench.command('View: Close Primary Side Bar');
    return stream;
  }

  async #copyForClient(): Promise<void> {
    const { workbench } = this.#guard;
    await this.#guard.run('Copy for Client');
    await workbench.pick('alice');
    await workbench.quickRows('LangChain').waitFor();
    await this.#take('copy-for-client', workbench.quickInput);
    await workbench.dismiss();
  }

  async #check(): Promise<void> {
    await this.#openCheck();
    await this.#take('check', this.#guard.workbench.quickInput);
    await this.#guard.workbench.dismiss();
  }

  async #openCheck(): Promise<void> {
    await this.#guard.run('Check This Machine');
    await this.#guard.workbench.quickRows('Any web page can use Ollama').waitFor();
  }

  async #openProgram(): Promise<void> {
    const { window, workbench } = this.#guard;
    writeFileSync(path.join(window.editor.folder, 'ask.py'), program);
    await workbench.page.keyboard.press('Control+P');
    await workbench.quickField.fill('ask.py');
    await workbench.pick('ask.py');
    await workbench.page.locator('.editor-instance .view-line', { hasText: 'chunk' }).first().waitFor();
  }

  async #widenSideBar(width: number): Promise<void> {
    const { page } = this.#guard.workbench;
    const box = await page.locator('.part.sidebar').boundingBox();
    if (box === null) throw new Error('no side bar');
    await page.mouse.move(box.x + box.width, 300);
    await page.mouse.down();
    await page.mouse.move(width, 300, { steps: 4 });
    await page.mouse.up();
  }

  /** A picture of the window, or of the part of it around something. */
  async #take(name: string, subject?: Locator): Promise<void> {
    const { workbench } = this.#guard;
    const box = await subject?.boundingBox();
    const margin = 24;
    const clip = box && {
      x: box.x - margin,
      y: 0,
      width: box.width + 2 * margin,
      height: box.y + box.height + margin,
    };
    // Away from everything that shows more when it is pointed at.
    await workbench.page.mouse.move(sizes.sideBar.width - 1, sizes.sideBar.height / 2);
    await workbench.page.locator('.monaco-hover:visible').waitFor({ state: 'hidden' });
    for (const theme of ['light', 'dark'] as const) {
      await workbench.theme(theme);
      const file = path.join(this.#folder, `${name}-${theme}.png`);
      await workbench.page.screenshot({ path: file, style, ...(clip && { clip }) });
      this.#pictures.push(file);
    }
  }
}
