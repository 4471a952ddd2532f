/**
 * `npm run screenshots`: makes the pictures of README.md, light and dark, from the packaged extension in a real VS Code,
 * and writes them to media/. Installs what that needs.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { packageGuard, projectRoot } from './project.ts';
import { orExplain, SetupError, setup } from './setup.ts';

/** Debian packages that the pictures need beside what the tests need, each with a file that shows that it is there. */
const tools = [
  { name: 'pngquant', file: '/usr/bin/pngquant' },
  { name: 'fonts-inter', file: '/usr/share/fonts/opentype/inter/Inter-Regular.otf' },
] as const;

function installTools(): void {
  const missing = tools.filter(({ file }) => !existsSync(file)).map(({ name }) => name);
  if (missing.length === 0) return;
  if (!existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) {
    throw new SetupError(`Missing here: ${missing.join(' ')}. Install them (on Debian: apt-get install).`);
  }
  console.log(`e2e: apt-get install ${missing.join(' ')}`);
  const apt = (...args: readonly string[]): void => {
    execFileSync('apt-get', ['-qq', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  };
  apt('update');
  apt('install', '--yes', '--no-install-recommends', ...missing);
}

/** The pictures are in the vsix, which stays under 1 MB; a user interface gets by with few colours. */
function compress(pictures: readonly string[]): void {
  execFileSync('pngquant', ['--force', '--ext', '.png', '--strip', '--speed', '1', '--nofs', '64', ...pictures]);
}

await orExplain(async () => {
  setup();
  installTools();
  console.log('e2e: npm run package');
  packageGuard();

  // Loaded only now: what it needs has just been installed.
  const { takePictures } = await import('./pictures.ts');
  const pictures = await takePictures(path.join(projectRoot, 'media'));
  compress(pictures);
  for (const picture of pictures) console.log(path.relative(projectRoot, picture));
});
