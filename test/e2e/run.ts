/**
 * `npm run test:e2e`: the packaged extension in a real VS Code. Installs what that needs, packages the extension, and
 * runs the tests one file after the other. Arguments are passed on to `node --test` in place of "all tests".
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, rmSync } from 'node:fs';
import path from 'node:path';
import { packageGuard, projectRoot } from './project.ts';
import { orExplain, setup } from './setup.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs a program to its end, and ends with it when it fails. A signal to this process ends that program. */
async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { cwd: projectRoot, stdio: 'inherit' });
  const end = (): boolean => child.kill('SIGTERM');
  for (const signal of signals) process.on(signal, end);
  const [code] = await once(child, 'exit');
  for (const signal of signals) process.off(signal, end);
  if (code !== 0) process.exit(typeof code === 'number' ? code : 1);
}

await orExplain(async () => {
  setup();
  console.log('e2e: types');
  await run(path.join(projectRoot, 'node_modules', '.bin', 'tsc'), ['--noEmit', '-p', import.meta.dirname]);
  console.log('e2e: npm run package');
  packageGuard();
  rmSync(path.join(import.meta.dirname, 'shots'), { recursive: true, force: true });
  const asked = process.argv.slice(2);
  const files = asked.length > 0 ? asked : globSync('*.test.ts', { cwd: import.meta.dirname }).sort();
  // The time-out is for a window that hangs; no test measures by it.
  await run(process.execPath, [
    ...['--test', '--test-concurrency=1', '--test-timeout=180000', '--test-reporter=spec'],
    ...files.map((file) => (file.startsWith('-') ? file : path.join(import.meta.dirname, path.basename(file)))),
  ]);
});
