/** The project as these tests see it: its root, its packaged extension, and how to make it. */
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { SetupError } from './setup.ts';

/** The project's root folder. */
export const projectRoot = path.resolve(import.meta.dirname, '..', '..');

/** The packaged extension that `npm run package` makes. */
export const guardVsix = path.join(projectRoot, 'ollama-guard.vsix');

/** Packages the extension, as it would be published. */
export function packageGuard(): void {
  const stdio = ['ignore', 'ignore', 'inherit'] as const;
  const { status } = spawnSync('npm', ['run', '--silent', 'package'], { cwd: projectRoot, stdio: [...stdio] });
  if (status !== 0) throw new SetupError('The extension could not be packaged: see npm run package.');
}

/** Packages the probe extension of these tests into `folder`, and gives the file. */
export function packageProbe(folder: string): string {
  const vsix = path.join(folder, 'probe.vsix');
  const vsce = path.join(projectRoot, 'node_modules', '.bin', 'vsce');
  execFileSync(vsce, ['package', '--no-dependencies', '--allow-missing-repository', '--skip-license', '-o', vsix], {
    cwd: path.join(import.meta.dirname, 'probe'),
    stdio: 'pipe',
  });
  return vsix;
}
