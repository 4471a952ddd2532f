// A guard of mode auto for a process of its own: prints its port, then a line whenever its certificate has changed.
import { parseConfig } from '../../../src/guard/config.ts';
import { Guard } from '../../../src/guard/guard.ts';
import { createMemoryVault } from '../../../src/guard/tls/vault.ts';
import { team } from '../../support/people.ts';

const guard = await Guard.start({
  config: parseConfig({ host: '::', port: 0, upstream: 'http://127.0.0.1:9', tls: { mode: 'auto' } }),
  users: team.users,
  comparePassword: async () => false,
  onReport: () => undefined,
  vault: createMemoryVault(),
  redeemInvite: async () => undefined,
  onTls: () => console.log('changed'),
});
console.log(JSON.stringify({ port: Number(new URL(guard.url).port), ca: guard.tls?.anchor?.pem }));
process.stdin.on('end', () => void guard.stop(0)).resume();
