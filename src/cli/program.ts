import { Command, Option } from 'commander';
import { MiB, parseConfig } from '../guard/config.ts';
import { applyEdit } from '../guard/identity/userEdit.ts';
import { roleNames } from '../guard/policy/policy.ts';
import { trustOf } from '../guard/share/trust.ts';
import type { Endpoint } from '../guard/state.ts';
import { HashClient } from '../threads/hashClient.ts';
import { printAuthority } from './ca.ts';
import { curlFor } from './curl.ts';
import { dataUnavailable, defaultDataFolder, openDataFolder } from './dataFolder.ts';
import { EndpointFile } from './endpointFile.ts';
import { invite } from './invite.ts';
import { join, leave, listJoined } from './join.ts';
import { JoinedFile } from './joinedFile.ts';
import type { LogFormat } from './log.ts';
import { collect, type Listen, parseLifetime, parseListen, parsePort, parsePositive } from './options.ts';
import { announcementOf, certifiedNames, reachOf } from './reach.ts';
import { serve } from './serve.ts';
import type { Terminal } from './terminal.ts';
import { addTlsFlags, keepHmacKey, type TlsFlags, tlsConfigOf } from './tlsFlags.ts';
import { tryOut } from './tryOut.ts';
import { UsageError } from './usageError.ts';
import {
  keyAdd,
  keyList,
  keyRevoke,
  type PasswordSource,
  type UserCommandPorts,
  userAdd,
  userList,
  userPasswd,
  userRemove,
} from './users.ts';
import { UsersFile } from './usersFile.ts';
import { createVaultFiles } from './vaultFiles.ts';

const defaultListen = '127.0.0.1:11435';
const defaultUpstream = 'http://127.0.0.1:11434';

interface DataOption {
  readonly data: string;
}

interface PasswordOptions {
  readonly passwordStdin?: true;
  readonly hashStdin?: true;
}

/** The command line: every command, its arguments and what runs it. */
export function createProgram(terminal: Terminal, version: string): Command {
  const program = new Command('ollama-guard')
    .description('An authenticated proxy in front of the local Ollama.')
    .version(version)
    .showHelpAfterError('Run "ollama-guard --help" for what there is.')
    .configureOutput({ writeErr: (text) => terminal.say(text.trimEnd()) })
    .exitOverride();

  /** Runs a command on users, with the hash thread at hand as long as it takes. */
  const withUsers = async ({ data }: DataOption, run: (ports: UserCommandPorts) => Promise<void>) => {
    const file = new UsersFile(await openDataFolder(data));
    const hash = new HashClient(({ message }) => terminal.say(message));
    await run({ file, terminal, hashPassword: (password) => hash.hash(password) }).finally(() => hash.stop());
  };

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
    .action(async (options: ServeFlags) => {
      const folder = await openDataFolder(options.data);
      const file = new UsersFile(folder);
      const endpointFile = new EndpointFile(folder);
      const vault = createVaultFiles(folder);
      const config = parseConfig({
        ...options.listen,
        upstream: options.upstream,
        allowedHosts: options.allowHost,
        allowedOrigins: options.allowOrigin,
        maxBodyBytes: options.maxBody * MiB,
        tls: tlsConfigOf(options),
      });
      await keepHmacKey(options, vault);
      const record = ({ url, tls }: Endpoint) =>
        endpointFile
          .write({ url, ...certifiedNames(config), trust: trustOf(tls) })
          .catch((error: unknown) => terminal.say(dataUnavailable(folder, error).message));
      await serve({
        config,
        users: await file.read(),
        logFormat: options.logFormat,
        terminal,
        vault,
        redeemInvite: (inviteId, key) =>
          file.update((users) => applyEdit(users, { kind: 'redeem-invite', inviteId, key })),
        onListening: async (endpoint, setUsers) => {
          await record(endpoint);
          const unwatch = file.watch(setUsers, (error) =>
            terminal.say(`${(error as Error).message} The users stay as they were.`),
          );
          terminal.out(`listening on ${endpoint.url}`);
          for (const line of announcementOf(endpoint, config)) terminal.say(line);
          return {
            onTls: (changed) => void record(changed),
            done: async () => {
              unwatch();
              await endpointFile.remove();
            },
          };
        },
      });
    });

  const user = program.command('user').description('add, list, change and remove users');
  passwordOptions(user.command('add <name>').description('add a user; prints a generated password unless one is given'))
    .addOption(new Option('--role <role>').choices(roleNames).default('member'))
    .addOption(dataOption())
    .action((name: string, options: DataOption & PasswordOptions & { role: string }) =>
      withUsers(options, (ports) => userAdd(ports, name, options.role, passwordSource(options))),
    );
  user
    .command('list')
    .description('list the users')
    .option('--json', 'as JSON')
    .addOption(dataOption())
    .action((options: DataOption & { json?: true }) =>
      withUsers(options, (ports) => userList(ports, options.json === true)),
    );
  user
    .command('remove <name>')
    .description('remove a user and end its streams')
    .addOption(dataOption())
    .action((name: string, options: DataOption) => withUsers(options, (ports) => userRemove(ports, name)));
  passwordOptions(user.command('passwd <name>').description('give a user a new password'))
    .addOption(dataOption())
    .action((name: string, options: DataOption & PasswordOptions) =>
      withUsers(options, (ports) => userPasswd(ports, name, passwordSource(options))),
    );

  const key = program.command('key').description('add, list and revoke API keys');
  key
    .command('add <user>')
    .description('make an API key; prints it once')
    .option('--label <label>', 'what it is for', '')
    .addOption(
      new Option('--expires <time>', 'stops working after this time, such as 30d or 12h').argParser(parseLifetime),
    )
    .addOption(dataOption())
    .action((name: string, options: DataOption & { label: string; expires?: number }) =>
      withUsers(options, (ports) => keyAdd(ports, name, options.label, options.expires)),
    );
  key
    .command('list [user]')
    .description('list API keys')
    .option('--json', 'as JSON')
    .addOption(dataOption())
    .action((name: string | undefined, options: DataOption & { json?: true }) =>
      withUsers(options, (ports) => keyList(ports, name, options.json === true)),
    );
  key
    .command('revoke <id>')
    .description('revoke an API key and end its streams')
    .addOption(dataOption())
    .action((id: string, options: DataOption) => withUsers(options, (ports) => keyRevoke(ports, id)));

  program
    .command('curl [user]')
    .description('print a curl command to send to a teammate')
    .addOption(dataOption())
    .action(async (name: string | undefined, { data }: DataOption) => {
      const folder = await openDataFolder(data);
      const endpoint = await new EndpointFile(folder).read();
      if (endpoint === undefined)
        terminal.say('No guard is running here. This is the address it has unless told otherwise:');
      const url = endpoint === undefined ? `http://${defaultListen}` : (reachOf(endpoint)[0]?.url ?? endpoint.url);
      terminal.out(curlFor(await new UsersFile(folder).read(), name, { url, trust: endpoint?.trust }));
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
    .command('invite <name>')
    .description('print a link that gives a teammate an API key, once; makes the user if there is none')
    .addOption(new Option('--role <role>', 'of a new user; member unless given').choices(roleNames))
    .addOption(
      new Option('--expires <time>', 'the API key stops working after this time, such as 7d').argParser(parseLifetime),
    )
    .addOption(dataOption())
    .action(async (name: string, options: DataOption & { role?: string; expires?: number }) => {
      const folder = await openDataFolder(options.data);
      const { role, expires } = options;
      await invite(
        { file: new UsersFile(folder), terminal },
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

  return program;
}

/** @throws UsageError for what is not this computer alone: whoever comes by needs no credential. */
function localPort(listen: Listen | undefined): number | undefined {
  if (listen === undefined || listen.host === '127.0.0.1' || listen.host === 'localhost') return listen?.port;
  throw new UsageError(
    `A joined endpoint is opened on this computer alone. Write --listen 127.0.0.1:${listen.port} instead.`,
  );
}

interface ServeFlags extends DataOption, TlsFlags {
  readonly listen: Listen;
  readonly upstream: string;
  readonly allowHost: readonly string[];
  readonly allowOrigin: readonly string[];
  readonly maxBody: number;
  readonly logFormat: LogFormat;
}

function dataOption(): Option {
  return new Option('--data <folder>', 'where users are kept').env('OLLAMA_GUARD_DATA').default(defaultDataFolder());
}

function allowHostOption(description: string): Option {
  return new Option('--allow-host <name>', description).default([]).argParser(collect);
}

function passwordOptions(command: Command): Command {
  return command
    .option('--password-stdin', 'read the password from standard input')
    .addOption(
      new Option('--hash-stdin', 'read a bcrypt hash (htpasswd, Caddy) from standard input').conflicts('passwordStdin'),
    );
}

function passwordSource({ passwordStdin, hashStdin }: PasswordOptions): PasswordSource {
  if (hashStdin) return 'hash';
  return passwordStdin ? 'stdin' : 'generate';
}
