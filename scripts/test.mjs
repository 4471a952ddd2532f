// Runs the tests that need no editor, in every folder but test/e2e, on the Node that runs this file.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { installPrograms } from '../test/support/debian.ts';

installPrograms();

const files = globSync('test/{unit,proxy,contract,cli,clients}/**/*.test.ts').sort();
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-timeout=120000', ...process.argv.slice(2), ...files],
  {
    stdio: 'inherit',
  },
);
process.exit(status ?? 1);
