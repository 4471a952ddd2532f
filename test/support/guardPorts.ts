import { createMemoryVault } from '../../src/guard/tls/vault.ts';
import type { GuardHostPorts } from '../../src/threads/guardHost.ts';

/** For guards of which no test asks anything but to run: private keys last as long as the test, no invite is taken. */
export function noPorts(): GuardHostPorts {
  return { vault: createMemoryVault(), redeemInvite: async () => undefined };
}
