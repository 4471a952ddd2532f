import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** The tests that need no editor, in every folder but test/e2e. */
export const testFiles = globSync('test/{unit,proxy,contract,cli,clients}/**/*.test.ts').sort();

/** Runs tests on a Node; gives what it exits with. */
export function runTests(node, files, { args = [], env = process.env } = {}) {
  // They wait more than they compute.
  const filesAtOnce = Math.max(2, availableParallelism() - 1);
  const options = ['--test', '--test-timeout=120000', `--test-concurrency=${filesAtOnce}`];
  return spawnSync(node, [...options, ...args, ...files], { stdio: 'inherit', env }).status ?? 1;
}
