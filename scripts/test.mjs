// Runs the tests that need no editor, in every folder but test/e2e, on the Node that runs this file.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { installPrograms } from '../test/support/debian.ts';

installPrograms();

// They wait more than they compute.
const filesAtOnce = Math.max(2, availableParallelism() - 1);
const files = globSync('test/{unit,proxy,contract,cli,clients}/**/*.test.ts').sort();
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-timeout=120000', `--test-concurrency=${filesAtOnce}`, ...process.argv.slice(2), ...files],
  {
    stdio: 'inherit',
  },
);
process.exit(status ?? 1);
