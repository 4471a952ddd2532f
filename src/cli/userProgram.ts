import { type Command, Option } from 'commander';
import { HashClient } from '../threads/hashClient.ts';
import { type AccessFlags, addAccessFlags } from './accessFlags.ts';
import { openDataFolder } from './dataFolder.ts';
import { EndpointFile, untilSeen } from './endpointFile.ts';
import { type DataOption, dataOption, parseLifetime, parseLimit, parsePositive } from './options.ts';
import { PolicyFile } from './policyFile.ts';
import { publicKeyAdd, publicKeyList, publicKeyRemove, publicKeysExport, publicKeysImport } from './publicKeys.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usageError.ts';
import {
  keyAdd,
  keyList,
  keyRevoke,
  type PasswordSource,
  type UserCommandPorts,
  userAdd,
  userDisable,
  userEnable,
  userList,
  userPasswd,
  userRemove,
  userSet,
} from './users.ts';
import { UsersFile } from './usersFile.ts';

interface PasswordOptions {
  readonly passwordStdin?: true;
  readonly hashStdin?: true;
}

interface PublicKeyOptions extends DataOption {
  readonly list?: true;
  readonly remove?: string;
}

type WithUsers = (options: DataOption, run: (ports: UserCommandPorts) => Promise<void>) => Promise<void>;

/** Adds `user` and `key`. */
export function addUserCommands(program: Command, terminal: Terminal): void {
  /** Runs a command on users, with the hash thread at hand as long as it takes. */
  const withUsers: WithUsers = async ({ data }, run) => {
    const folder = await openDataFolder(data);
    const hash = new HashClient(({ message }) => terminal.say(message));
    const file = new UsersFile(folder);
    const ports: UserCommandPorts = {
      file,
      policy: PolicyFile.in(folder),
      terminal,
      hashPassword: (password) => hash.hash(password),
    };
    await run(ports).finally(() => hash.stop());
    if (file.isChanged) await untilSeen(await new EndpointFile(folder).read());
  };
  const user = program.command('user').description('add, list, change and remove users');
  addRecordCommands(user, withUsers);
  addPublicKeyCommands(user, withUsers);
  addKeyCommands(program.command('key').description('add, list and revoke API keys'), withUsers);
}

function addRecordCommands(user: Command, withUsers: WithUsers): void {
  const add = user.command('add <name>').description('add a user; prints a generated password unless one is given');
  passwordOptions(addAccessFlags(add, parsePositive))
    .addOption(
      new Option('--no-password', 'for a user who signs in by key or token alone').conflicts([
        'passwordStdin',
        'hashStdin',
      ]),
    )
    .addOption(dataOption())
    .action((name: string, options: DataOption & PasswordOptions & AccessFlags & { password: boolean }) =>
      withUsers(options, (ports) =>
        userAdd(ports, name, { role: 'member', ...options }, options.password ? passwordSource(options) : 'none'),
      ),
    );
  addAccessFlags(user.command('set <name>').description('change what a user may do'), parseLimit)
    .addOption(
      new Option('--all-models', 'takes back what --models and --deny-models gave: those of the role').conflicts(
        'models',
      ),
    )
    .addOption(new Option('--no-expiry', 'is let in without end').conflicts('expires'))
    .addOption(dataOption())
    .addHelpText('after', '\nWith none in place of a number, the limit is that of the role again.')
    .action((name: string, options: DataOption & AccessFlags) =>
      withUsers(options, (ports) => userSet(ports, name, options)),
    );
  user
    .command('disable <name>')
    .description('let a user in no more, and end its streams; keeps everything else')
    .addOption(dataOption())
    .action((name: string, options: DataOption) => withUsers(options, (ports) => userDisable(ports, name)));
  user
    .command('enable <name>')
    .description('let a user in again who was disabled')
    .addOption(dataOption())
    .action((name: string, options: DataOption) => withUsers(options, (ports) => userEnable(ports, name)));
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
}

function addPublicKeyCommands(user: Command, withUsers: WithUsers): void {
  user
    .command('pubkey <name> [file]')
    .description("add the public key of a teammate's ollama, ~/.ollama/id_ed25519.pub; - reads standard input")
    .usage('[options] <name> (<file> | --list | --remove <id>)')
    .option('--list', 'list the public keys instead')
    .option('--remove <id>', 'remove one instead')
    .addOption(dataOption())
    .action((name: string, file: string | undefined, options: PublicKeyOptions) =>
      withUsers(options, publicKeyCommand(name, file, options)),
    );
  const keys = user.command('pubkeys').description('public keys of all users, in the form of authorized_keys');
  keys
    .command('import <file>')
    .description('add keys, and the users they name; - reads standard input')
    .option('--role <role>', 'of new users', 'member')
    .addOption(dataOption())
    .action((file: string, options: DataOption & { role: string }) =>
      withUsers(options, (ports) => publicKeysImport(ports, file, options.role)),
    );
  keys
    .command('export')
    .description('print them')
    .addOption(dataOption())
    .action((options: DataOption) => withUsers(options, publicKeysExport));
}

function addKeyCommands(key: Command, withUsers: WithUsers): void {
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
}

/** @throws UsageError unless it is one of the three. */
function publicKeyCommand(
  name: string,
  file: string | undefined,
  { list, remove }: PublicKeyOptions,
): (ports: UserCommandPorts) => Promise<void> {
  if ([file, list, remove].filter((given) => given !== undefined).length !== 1) {
    throw new UsageError('Name a file that holds the public key, or write --list or --remove ID.');
  }
  if (file !== undefined) return (ports) => publicKeyAdd(ports, name, file);
  return (ports) => (remove === undefined ? publicKeyList(ports, name) : publicKeyRemove(ports, name, remove));
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
