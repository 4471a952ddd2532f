// Runs the tests that need no editor on the oldest Node there may be, which is about what a VS Code of 2025 brings along.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { preparePython } from '../test/clients/python.ts';
import { installPrograms } from '../test/support/debian.ts';
import { runTests, testFiles } from './runTests.mjs';

/** They use what newer ones have: the time of a thread, certificates for all clients, a warning of `url.parse`. */
const needNewer = /largeBody|tokenDiscovery|snippetsTls|p15UrlParse/;

const [, major, minor] = /needed = \[(\d+), (\d+)\]/.exec(readFileSync('src/cli.ts', 'utf8')) ?? [];
const name = `node-${process.platform}-${process.arch}`;
const folder = mkdtempSync(join(tmpdir(), 'oldest-node-'));
try {
  installPrograms();
  preparePython();
  const install = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund'];
  const { status } = spawnSync('npm', [...install, `${name}@${major}.${minor}.0`], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`npm cannot install ${name} ${major}.${minor}.0.`);
  const bin = join(folder, 'node_modules', name, 'bin');
  const files = testFiles.filter((file) => !needNewer.test(file));
  process.exitCode = runTests(join(bin, 'node'), files, {
    args: ['--test-reporter=spec'],
    env: {
      ...process.env,
      PATH: [bin, process.env.PATH].join(delimiter),
      NODE_OPTIONS: '--experimental-strip-types --disable-warning=ExperimentalWarning',
    },
  });
} finally {
  rmSync(folder, { recursive: true });
}
