// Runs the tests that need no editor on the oldest Node there may be, which is about what a VS Code of 2025 brings along.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const [, major, minor] = /needed = \[(\d+), (\d+)\]/.exec(readFileSync('src/cli.ts', 'utf8')) ?? [];
const folder = mkdtempSync(join(tmpdir(), 'oldest-node-'));

/** Runs a program to its end. @throws Error unless it ends well. */
function run(program, args, env = process.env) {
  const { status } = spawnSync(program, args, { stdio: 'inherit', env });
  if (status !== 0) throw new Error(`${program} ${args[0]} ended with ${status}`);
}

try {
  const node = `node-${process.platform}-${process.arch}@${major}.${minor}.0`;
  run('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', node]);
  const bin = join(folder, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin');
  run(join(bin, 'node'), ['scripts/test.mjs', '--test-reporter=spec'], {
    ...process.env,
    PATH: [bin, process.env.PATH].join(delimiter),
    NODE_OPTIONS: '--experimental-strip-types --disable-warning=ExperimentalWarning',
  });
} finally {
  rmSync(folder, { recursive: true });
}
