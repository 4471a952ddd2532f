import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Memento, SecretStorage } from 'vscode';
import { GuardError } from '../../../src/guard/errors.ts';
import { loadAuthority } from '../../../src/guard/tls/authority.ts';
import { createSecretVault, forgetAuthority } from '../../../src/vscode/secretVault.ts';
import { FakeSecrets } from '../../support/fakeSecrets.ts';

/** VS Code's Memento on a map. */
function createMemory(): Memento {
  const values = new Map<string, unknown>();
  return {
    keys: () => [...values.keys()],
    get: (key: string) => values.get(key),
    update: async (key: string, value: unknown) => void values.set(key, value),
  } as Memento;
}

function open() {
  const secrets = new FakeSecrets();
  const [storage, memory] = [secrets as unknown as SecretStorage, createMemory()];
  return { secrets, storage, memory, vault: createSecretVault(storage, memory) };
}

const options = { hostName: 'box', allowedHosts: [], now: Date.now() };
const isUnavailable = (error: unknown) => GuardError.is(error, 'data-unavailable');

test('an authority whose secret VS Code lost is not quietly replaced by another', async () => {
  const { secrets, storage, memory, vault } = open();
  const { anchor } = await loadAuthority(vault, options);
  assert.deepEqual((await loadAuthority(vault, options)).anchor, anchor, 'it is kept');

  // https://github.com/microsoft/vscode: `BaseSecretStorageService.get` deletes what it cannot decrypt.
  secrets.secrets.clear();
  await assert.rejects(loadAuthority(vault, options), isUnavailable);
  assert.equal(secrets.secrets.size, 0, 'nothing was made');

  await forgetAuthority(storage, memory);
  assert.notDeepEqual((await loadAuthority(vault, options)).anchor, anchor, 'its owner asked for another');
});

test('a storage that fails makes no new authority either, and other entries may be missing', async () => {
  const { secrets, vault } = open();
  await loadAuthority(vault, options);
  secrets.fails = () => true;
  await assert.rejects(loadAuthority(vault, options), isUnavailable);
  secrets.fails = () => false;
  assert.equal(await vault.read('acme-account'), undefined);
});
