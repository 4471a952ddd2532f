import { type GuardConfig, MiB, parseConfig } from '../guard/config.ts';
import { applyEdit } from '../guard/identity/userEdit.ts';
import type { PolicyDocument } from '../guard/policy/policyDocument.ts';
import { trustOf } from '../guard/share/trust.ts';
import type { Endpoint } from '../guard/state.ts';
import { dataUnavailable, openDataFolder } from './dataFolder.ts';
import { EndpointFile, type EndpointRecord, isRunning } from './endpointFile.ts';
import type { Following } from './followFile.ts';
import { formatNote, type LogFormat } from './log.ts';
import type { DataOption, Listen } from './options.ts';
import { followPolicy, PolicyFile } from './policyFile.ts';
import { announcementOf, certifiedNames } from './reach.ts';
import { serve } from './serve.ts';
import type { Terminal } from './terminal.ts';
import { keepHmacKey, type TlsFlags, tlsConfigOf } from './tlsFlags.ts';
import { UsersFile } from './usersFile.ts';
import { createVaultFiles } from './vaultFiles.ts';

/** What `serve` is asked for. */
export interface ServeFlags extends DataOption, TlsFlags {
  readonly listen: Listen;
  readonly upstream: string;
  readonly allowHost: readonly string[];
  readonly allowOrigin: readonly string[];
  /** In MiB. */
  readonly maxBody: number;
  readonly logFormat: LogFormat;
}

/**
 * `ollama-guard serve`: a guard of a data folder, which follows what other commands change there.
 *
 * @throws GuardError why it could not start, or why it broke.
 */
export async function serveStored(terminal: Terminal, flags: ServeFlags): Promise<void> {
  const folder = await openDataFolder(flags.data);
  const users = new UsersFile(folder);
  const policy = PolicyFile.in(folder);
  const places = new EndpointFile(folder);
  const vault = createVaultFiles(folder);
  const config = configOf(flags, (await policy.read()) ?? {});
  await keepHmacKey(flags, vault);
  const note = (message: string) => terminal.say(formatNote(message, flags.logFormat));
  const other = await otherGuard(places);
  if (other !== undefined) {
    note(
      `Another guard seems to use ${folder}, at ${other.url}. Each counts limits for itself: stop one of them, or give this one a folder of its own with --data.`,
    );
  }
  const record = ({ url, tls }: Endpoint) =>
    places
      .write({ url, ...certifiedNames(config), trust: trustOf(tls) })
      .catch((error: unknown) => terminal.say(dataUnavailable(folder, error).message));
  let following: Following | undefined;
  await serve({
    config,
    users: await users.read(),
    logFormat: flags.logFormat,
    terminal,
    vault,
    dataFolder: folder,
    redeemInvite: async (inviteId, key) => {
      await users.update((all) => applyEdit(all, { kind: 'redeem-invite', inviteId, key }));
      // What came of it is older by now than what another process may have made of it.
      await following?.look();
    },
    onListening: async (endpoint, guard) => {
      await record(endpoint);
      following = users.watch(guard.setUsers, (error) =>
        note(`${(error as Error).message} The users stay as they were.`),
      );
      const unfollowPolicy = followPolicy(policy, guard.setPolicy, note);
      terminal.out(`listening on ${endpoint.url}`);
      for (const line of announcementOf(endpoint, config)) terminal.say(line);
      return {
        onTls: (changed) => void record(changed),
        done: async () => {
          following?.end();
          unfollowPolicy();
          await places.remove(other);
        },
      };
    },
  });
}

function configOf(flags: ServeFlags, policy: PolicyDocument): GuardConfig {
  return parseConfig({
    ...flags.listen,
    upstream: flags.upstream,
    policy,
    allowedHosts: flags.allowHost,
    allowedOrigins: flags.allowOrigin,
    maxBodyBytes: flags.maxBody * MiB,
    tls: tlsConfigOf(flags),
  });
}

/** A guard of the same folder, as far as can be told. */
async function otherGuard(places: EndpointFile): Promise<EndpointRecord | undefined> {
  const found = await places.read();
  return found !== undefined && found.pid !== process.pid && isRunning(found) ? found : undefined;
}
