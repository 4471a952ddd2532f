import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { systemErrorCode } from '../guard/errors.ts';
import { openDataFolder } from './dataFolder.ts';
import { explainAccess } from './explain.ts';
import { type DataOption, dataOption } from './options.ts';
import { policyCheck, policyShow } from './policy.ts';
import { PolicyFile } from './policyFile.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usageError.ts';
import { UsersFile } from './usersFile.ts';

/** @throws UsageError for what cannot be read, or is not there. */
async function demandReadable(file: string): Promise<void> {
  await readFile(file).catch((error: unknown) => {
    const code = systemErrorCode(error);
    throw new UsageError(code === 'ENOENT' ? `There is no ${file}.` : `${file} cannot be read (${code}).`);
  });
}

/** Adds `policy` and `explain`. */
export function addPolicyCommands(program: Command, terminal: Terminal): void {
  const policy = program.command('policy').description('the policy: who may do what, how much, and in what order');
  policy
    .command('check [file]')
    .description('say what is wrong with policy.json, or print the roles, the queue and the issuers that come of it')
    .addOption(dataOption())
    .action(async (file: string | undefined, { data }: DataOption) => {
      const folder = await openDataFolder(data);
      const policyFile = file === undefined ? PolicyFile.in(folder) : new PolicyFile(file);
      if (file !== undefined) await demandReadable(file);
      await policyCheck(terminal, policyFile, await new UsersFile(folder).read());
    });
  policy
    .command('show')
    .description(
      'print what policy.json comes to, as JSON that it takes itself; a running guard keeps the last one that was valid',
    )
    .addOption(dataOption())
    .action(async ({ data }: DataOption) => policyShow(terminal, PolicyFile.in(await openDataFolder(data))));

  program
    .command('explain <user> <method> <path> [model]')
    .description('say whether a user may do something, and by which rules; ends with 1 for no')
    .option('--role <role>', 'of somebody who signs in by a token that gives this role, and is no user')
    .option('--json', 'as JSON')
    .addOption(dataOption())
    .action(
      async (
        user: string,
        method: string,
        path: string,
        model: string | undefined,
        { data, json, role }: DataOption & { json?: true; role?: string },
      ) => {
        if (!path.startsWith('/')) {
          throw new UsageError('A path begins with /, as in: ollama-guard explain alice POST /api/chat llama3.2');
        }
        const folder = await openDataFolder(data);
        const ports = { file: new UsersFile(folder), policy: PolicyFile.in(folder), terminal };
        const named = { ...(model !== undefined && { model }), ...(role !== undefined && { role }) };
        const question = { user, method: method.toUpperCase(), path, ...named };
        if (!(await explainAccess(ports, question, json === true))) process.exitCode = 1;
      },
    );
}
