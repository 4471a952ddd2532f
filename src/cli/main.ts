import { CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { GuardError, type GuardErrorCode } from '../guard/errors.ts';
import { createProgram } from './program.ts';
import { outliveReaders, processTerminal } from './terminal.ts';
import { UsageError } from './usageError.ts';

/** 0, 1 for a failure, 2 for a command that was called wrongly. */
function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof UsageError || GuardError.is(error, 'config-invalid') ? 2 : 1;
}

/** Where to look after a name that is none; the sentence itself is said in VS Code too. */
const nextSteps: Partial<Record<GuardErrorCode, string>> = {
  'user-unknown': 'See: ollama-guard user list',
  'key-unknown': 'See: ollama-guard key list',
  'joined-unknown': 'See: ollama-guard join --list',
};

function sentenceOf(error: unknown): string {
  const next = GuardError.is(error) ? nextSteps[error.code] : undefined;
  return [(error as Error).message, ...(next === undefined ? [] : [next])].join(' ');
}

/** Runs the command line; errors become one sentence and an exit code. */
export async function main(): Promise<void> {
  outliveReaders();
  try {
    await createProgram(processTerminal, packageJson.version).parseAsync();
  } catch (error) {
    // Commander has said what was wrong already.
    if (!(error instanceof CommanderError)) processTerminal.say(`ollama-guard: ${sentenceOf(error)}`);
    process.exitCode = exitCode(error);
  }
}
