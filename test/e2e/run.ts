/**
 * `npm run test:e2e`: the packaged extension in a real VS Code. Installs what that needs, packages the extension, and
 * runs the tests one file after the other. Arguments are passed on to `node --test` in place of "all tests".
 */
import { spawnSync } from 'node:child_process';
import { globSync, rmSync } from 'node:fs';
import path from 'node:path';
import { packageGuard, projectRoot } from './project.ts';
import { orExplain, setup } from './setup.ts';

function run(program: string, args: readonly string[]): void {
  const { status } = spawnSync(program, args, { cwd: projectRoot, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

await orExplain(() => {
  setup();
  console.log('e2e: types');
  run(path.join(projectRoot, 'node_modules', '.bin', 'tsc'), ['--noEmit', '-p', import.meta.dirname]);
  console.log('e2e: npm run package');
  packageGuard();
  rmSync(path.join(import.meta.dirname, 'shots'), { recursive: true, force: true });
  const asked = process.argv.slice(2);
  const files = asked.length > 0 ? asked : globSync('*.test.ts', { cwd: import.meta.dirname }).sort();
  // The time-out is for a window that hangs; no test measures by it.
  run(process.execPath, [
    ...['--test', '--test-concurrency=1', '--test-timeout=180000', '--test-reporter=spec'],
    ...files.map((file) => (file.startsWith('-') ? file : path.join(import.meta.dirname, path.basename(file)))),
  ]);
});
