// Worker entry: listener, gate and forwarding, on Node's own `http` and an event loop of their own.
import { parentPort, workerData } from 'node:worker_threads';
import { Guard } from '../guard/guard.ts';
import {
  connect,
  failureOf,
  type GuardHostFunctions,
  type GuardThreadData,
  type GuardThreadFunctions,
  type HashThreadFunctions,
  throwFailure,
  type VaultResult,
} from './messages.ts';

if (parentPort === null) throw new Error('guardThread runs as a worker');

const { hashPort, dataFolder } = workerData as GuardThreadData;
const hashThread = connect<HashThreadFunctions, object>(hashPort, {});
let guard: Guard | undefined;

const functions: GuardThreadFunctions = {
  async start(config, users) {
    try {
      guard = await Guard.start({
        config,
        users,
        comparePassword: (password, hash) => hashThread.compare(password, hash),
        onReport: (report) => void host.onReport(report),
        vault: {
          read: async (entry) => textOf(await host.readVault(entry)),
          write: async (entry, text) => void textOf(await host.writeVault(entry, text)),
        },
        redeemInvite: async (inviteId, key) => {
          const failed = await host.redeemInvite(inviteId, key);
          if (failed !== undefined) throwFailure(failed);
        },
        onTls: (tls) => void host.onTls(tls),
        ...(dataFolder !== undefined && { dataFolder }),
      });
      return { url: guard.url, tls: guard.tls };
    } catch (error) {
      return failureOf(error, 'The guard could not start: {reason}');
    }
  },
  async stop(drainMs) {
    await guard?.stop(drainMs);
    guard = undefined;
  },
  setUsers: (users) => guard?.setUsers(users),
  setPolicy: (policy) => guard?.setPolicy(policy),
  watchActivity: (on) => guard?.watchActivity(on),
  stopRequest: (id) => guard?.stopRequest(id) ?? false,
  async share(plan) {
    try {
      return { url: await guard?.share(plan), tls: guard?.tls };
    } catch (error) {
      return failureOf(error, 'The guard could not share: {reason}');
    }
  },
};

function textOf(result: VaultResult): string | undefined {
  return 'text' in result ? result.text : throwFailure(result);
}

const host = connect<GuardHostFunctions, GuardThreadFunctions>(parentPort, functions, {
  eventNames: ['onReport', 'onTls'],
});
