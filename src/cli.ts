#!/usr/bin/env node
import { CommanderError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { createProgram } from './cli/program.ts';
import { processTerminal } from './cli/terminal.ts';
import { UsageError } from './cli/usageError.ts';
import { GuardError } from './guard/errors.ts';

const neededNode = [22, 15] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

/** 0, 1 for a failure, 2 for a command that was called wrongly. */
function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof UsageError || GuardError.is(error, 'config-invalid') ? 2 : 1;
}

if (major < neededNode[0] || (major === neededNode[0] && minor < neededNode[1])) {
  processTerminal.say(`ollama-guard needs Node ${neededNode.join('.')} or later; this is ${process.versions.node}.`);
  process.exitCode = 1;
} else {
  await createProgram(processTerminal, packageJson.version)
    .parseAsync()
    .catch((error: unknown) => {
      // Commander has said what was wrong already.
      if (!(error instanceof CommanderError)) processTerminal.say(`ollama-guard: ${(error as Error).message}`);
      process.exitCode = exitCode(error);
    });
}
