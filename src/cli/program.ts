import { Command, Option } from 'commander';
import { printAuthority } from './ca.ts';
import { curlFor } from './curl.ts';
import { openDataFolder } from './dataFolder.ts';
import { EndpointFile, isRunning } from './endpointFile.ts';
import { invite } from './invite.ts';
import { inviteList, inviteRevoke } from './invites.ts';
import { join, leave, listJoined } from './join.ts';
import { JoinedFile } from './joinedFile.ts';
import {
  collect,
  type DataOption,
  dataOption,
  type Listen,
  parseLifetime,
  parseListen,
  parsePort,
  parsePositive,
} from './options.ts';
import { PolicyFile } from './policyFile.ts';
import { addPolicyCommands } from './policyProgram.ts';
import { reachOf } from './reach.ts';
import { demandRole } from './roles.ts';
import { type ServeFlags, serveStored } from './serveStored.ts';
import type { Terminal } from './terminal.ts';
import { addTlsFlags } from './tlsFlags.ts';
import { tryOut } from './tryOut.ts';
import { UsageError } from './usageError.ts';
import { addUserCommands } from './userProgram.ts';
import { UsersFile } from './usersFile.ts';
import { createVaultFiles } from './vaultFiles.ts';

const defaultListen = '127.0.0.1:11435';
const defaultUpstream = 'http://127.0.0.1:11434';

/** The command line: every command, its arguments and what runs it. */
export function createProgram(terminal: Terminal, version: string): Command {
  const program = new Command('ollama-guard')
    .description('An authenticated proxy in front of the local Ollama.')
    .version(version)
    .configureOutput({ writeErr: (text) => terminal.say(text.trimEnd()) })
    .exitOverride();

  program
    .command('try')
    .description('a throwaway guard with one user; prints a curl command that works at once')
    .addOption(new Option('--upstream <url>', 'Ollama, when it runs').default(defaultUpstream))
    .addOption(new Option('--port <port>', 'listen on this port').default(11435).argParser(parsePort))
    .action((options: { upstream: string; port: number }) => tryOut(terminal, options.upstream, options.port));

  addTlsFlags(program.command('serve').description('run the guard until Ctrl+C'))
    .addOption(
      new Option('--listen <host:port>', 'where to listen; port 0 picks one')
        .default(parseListen(defaultListen), defaultListen)
        .argParser(parseListen),
    )
    .addOption(new Option('--upstream <url>', 'Ollama').default(defaultUpstream))
    .addOption(dataOption())
    .addOption(allowHostOption('also answer to this host name (may be repeated)'))
    .addOption(
      new Option('--allow-origin <origin>', 'let web pages of this origin call (may be repeated)')
        .default([])
        .argParser(collect),
    )
    .addOption(new Option('--max-body <MiB>', 'largest request body in MiB').default(64).argParser(parsePositive))
    .addOption(new Option('--log-format <format>').choices(['pretty', 'json']).default('pretty'))
    .action((flags: ServeFlags) => serveStored(terminal, flags));

  addUserCommands(program, terminal);
  addPolicyCommands(program, terminal);

  program
    .command('curl [user]')
    .description('print a curl command to send to a teammate')
    .addOption(dataOption())
    .action(async (name: string | undefined, { data }: DataOption) => {
      const folder = await openDataFolder(data);
      const endpoint = await new EndpointFile(folder).read();
      if (endpoint === undefined)
        terminal.say('No guard is running here. This is the address it has unless told otherwise:');
      else if (!isRunning(endpoint)) terminal.say('No guard is running here now. This is the address it had:');
      const url = endpoint === undefined ? `http://${defaultListen}` : (reachOf(endpoint)[0]?.url ?? endpoint.url);
      const users = await new UsersFile(folder).read();
      const { command, notes } = curlFor(users, name, { url, trust: endpoint?.trust }, Date.now());
      for (const note of notes) terminal.say(note);
      terminal.out(command);
    });

  program
    .command('ca')
    .description("print this installation's certificate authority, which --tls auto uses")
    .option('--fingerprint', 'its SHA-256 alone')
    .addOption(allowHostOption('when it is made now: also vouch for this host name (may be repeated)'))
    .addOption(dataOption())
    .action(async (options: DataOption & { fingerprint?: true; allowHost: readonly string[] }) => {
      const vault = createVaultFiles(await openDataFolder(options.data));
      await printAuthority(terminal, vault, options.allowHost, options.fingerprint === true);
    });

  program
    .command('invite [name]')
    .description('print a link that gives a teammate an API key, once; makes the user if there is none')
    .option('--role <role>', 'of a new user; member unless given')
    .addOption(
      new Option('--expires <time>', 'the API key stops working after this time, such as 7d').argParser(parseLifetime),
    )
    .addOption(new Option('--list', 'list the open invites instead').conflicts(['role', 'expires', 'revoke']))
    .addOption(new Option('--revoke <id>', 'take an open invite back instead').conflicts(['role', 'expires']))
    .addOption(dataOption())
    .action(async (name: string | undefined, options: InviteFlags) => {
      const folder = await openDataFolder(options.data);
      const ports = { file: new UsersFile(folder), terminal };
      const { role, expires, list, revoke } = options;
      if ([name, list, revoke].filter((given) => given !== undefined).length !== 1) {
        throw new UsageError('Name whom to invite, or write --list or --revoke ID.');
      }
      if (list) return inviteList(ports);
      if (name === undefined) return inviteRevoke(ports, revoke ?? '');
      await demandRole(PolicyFile.in(folder), role);
      return invite(
        ports,
        { name, ...(role && { role }), ...(expires && { accessMs: expires }) },
        await new EndpointFile(folder).read(),
      );
    });

  program
    .command('join [link]')
    .description(
      'open the Ollama of somebody who invited you, on this computer, until Ctrl+C; without a link: all again',
    )
    .addHelpText('after', '\nWith - in place of the link, it is read from standard input and seen by no other program.')
    .addOption(
      new Option(
        '--listen <host:port>',
        'where on this computer; port 0 picks one (default: 127.0.0.1:11436 or the next that is free)',
      ).argParser(parseListen),
    )
    .addOption(new Option('--list', 'list what was joined').conflicts('listen'))
    .addOption(dataOption())
    .action(async (link: string | undefined, options: DataOption & { listen?: Listen; list?: true }) => {
      const ports = { file: new JoinedFile(await openDataFolder(options.data)), terminal };
      await (options.list ? listJoined(ports) : join(ports, { link, port: localPort(options.listen) }));
    });

  program
    .command('leave <endpoint>')
    .description('forget a joined endpoint, by its id, its host or your name there')
    .addOption(dataOption())
    .action(async (endpoint: string, { data }: DataOption) =>
      leave({ file: new JoinedFile(await openDataFolder(data)), terminal }, endpoint),
    );

  pointToHelp(program, program.name());
  return program;
}

/** Has each command point to its own help when it is called wrongly. */
function pointToHelp(command: Command, line: string): void {
  command.showHelpAfterError(`Run "${line} --help" for what there is.`);
  for (const inner of command.commands) pointToHelp(inner, `${line} ${inner.name()}`);
}

/** @throws UsageError for what is not this computer alone: whoever comes by needs no credential. */
function localPort(listen: Listen | undefined): number | undefined {
  if (listen === undefined || listen.host === '127.0.0.1' || listen.host === 'localhost') return listen?.port;
  throw new UsageError(
    `A joined endpoint is opened on this computer alone. Write --listen 127.0.0.1:${listen.port} instead.`,
  );
}

interface InviteFlags extends DataOption {
  readonly role?: string;
  readonly expires?: number;
  readonly list?: true;
  readonly revoke?: string;
}

function allowHostOption(description: string): Option {
  return new Option('--allow-host <name>', description).default([]).argParser(collect);
}
