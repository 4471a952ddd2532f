/** A guard for this computer alone needs no certificate: it gets one when it is shared beyond. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { parseConfig } from '../../src/guard/config.ts';
import { GuardError } from '../../src/guard/errors.ts';
import { createMemoryVault, type Vault } from '../../src/guard/tls/vault.ts';
import { GuardHost } from '../../src/threads/guardHost.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { freePort } from '../support/freePort.ts';
import { startGuard } from '../support/guard.ts';
import { noPorts } from '../support/guardPorts.ts';
import { team } from '../support/people.ts';
import { request } from '../support/rawClient.ts';

/** The guard's own listener takes IPv6 alone, so that every IPv4 address is left to share on. */
const config = { host: '::1', tls: { mode: 'auto' as const }, plainOnLoopback: true };
const everywhere = { host: '0.0.0.0' };

/** A vault that fails until it is told to work, and counts how often it is asked. */
class LockedVault implements Vault {
  locked = true;
  reads = 0;
  readonly #vault = createMemoryVault();

  async read(entry: Parameters<Vault['read']>[0]): Promise<string | undefined> {
    this.reads += 1;
    this.#demand();
    return this.#vault.read(entry);
  }

  async write(entry: Parameters<Vault['write']>[0], text: string): Promise<void> {
    this.#demand();
    await this.#vault.write(entry, text);
  }

  #demand(): void {
    if (this.locked) throw new GuardError('data-unavailable', 'locked');
  }
}

async function handshake(t: TestContext, port: number, ca: string): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port, ca });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket.authorized;
}

test('it starts whatever the vault says, and does not ask it', async (t) => {
  const vault = new LockedVault();
  const { guard, port } = await startGuard(t, await startFakeOllama(t), { vault, config });
  assert.deepEqual([guard.url, guard.tls, vault.reads], [`http://[::1]:${port}`, undefined, 0]);
  const tags = { headers: { authorization: team.mia.bearer } };
  assert.equal((await request(t, port, tags, { host: '::1' })).status, 200);

  await assert.rejects(guard.share(everywhere), (error) => GuardError.is(error, 'data-unavailable'));
  await assert.rejects(request(t, port, tags), 'what cannot be encrypted does not listen');

  vault.locked = false;
  assert.equal(await guard.share(everywhere), `https://0.0.0.0:${port}`);
  assert.equal(await handshake(t, port, guard.tls?.anchor?.pem ?? ''), true);
});

test('on an address beyond loopback a vault that fails keeps it from starting', async (t) => {
  const vault = new LockedVault();
  const starting = startGuard(t, 'http://127.0.0.1:1', { vault, config: { ...config, host: '0.0.0.0' } });
  await assert.rejects(starting, (error) => GuardError.is(error, 'data-unavailable'));
});

test("it shows in the guard's state once it is shared", async (t) => {
  const host = new GuardHost({ onState: () => undefined, onEvents: () => undefined }, noPorts());
  t.after(() => host.dispose());
  const port = await freePort();
  const tls = () => (host.state.status === 'running' ? host.state.tls : assert.fail());
  await host.start(parseConfig({ ...config, port, upstream: 'http://127.0.0.1:1' }), team.users);
  assert.equal(tls(), undefined);
  await host.share(everywhere);
  assert.equal(tls()?.mode, 'auto');
});
