import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { SecretStorage, SecretStorageChangeEvent } from 'vscode';
import { GuardError } from '../../../src/guard/errors.ts';
import type { User } from '../../../src/guard/identity/users.ts';
import { SecretUsers } from '../../../src/vscode/secretUsers.ts';
import type { StoredUsers } from '../../../src/windows/usersKeeper.ts';
import { keyOf, userOf } from '../../support/usersOf.ts';

type Call = 'get' | 'store' | 'delete';

/** VS Code's SecretStorage on a map. */
class FakeSecrets implements SecretStorage {
  readonly secrets: Map<string, string>;
  readonly calls: string[] = [];
  readonly listeners = new Set<(event: SecretStorageChangeEvent) => unknown>();
  /** Says whether a call fails; it is not made then. */
  fails: (call: Call, key: string) => boolean = () => false;
  /** Called before a secret is read. */
  onGet: (key: string) => void = () => undefined;

  constructor(secrets: ReadonlyMap<string, string> = new Map()) {
    this.secrets = new Map(secrets);
  }

  readonly onDidChange: SecretStorage['onDidChange'] = (listener) => {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  };

  async get(key: string): Promise<string | undefined> {
    this.#call('get', key);
    this.onGet(key);
    return this.secrets.get(key);
  }

  async store(key: string, value: string): Promise<void> {
    this.#call('store', key);
    this.secrets.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.#call('delete', key);
    this.secrets.delete(key);
  }

  async keys(): Promise<string[]> {
    return [...this.secrets.keys()];
  }

  #call(call: Call, key: string): void {
    if (this.fails(call, key)) throw new Error(`the keyring does not ${call}`);
    this.calls.push(`${call} ${key}`);
  }
}

const [ada, bob, cleo] = [userOf('ada', 1), userOf('bob', 2, [keyOf(7)]), userOf('cleo', 3)];
const nothing: StoredUsers = { users: [], revision: 0 };
const both: StoredUsers = { users: [ada, bob], revision: 1 };
const indexKey = 'ollamaGuard.users';
const keyFor = ({ id }: User) => `ollamaGuard.user.${id}`;

async function stored(users: StoredUsers): Promise<FakeSecrets> {
  const secrets = new FakeSecrets();
  await new SecretUsers(secrets).write(nothing, users);
  secrets.calls.length = 0;
  return secrets;
}

const read = (secrets: FakeSecrets) => new SecretUsers(secrets).read();
const isUnavailable = (error: unknown) => GuardError.is(error, 'data-unavailable');
const isDamaged = (error: unknown) => GuardError.is(error, 'data-damaged');

test('where nothing is stored there are no users', async () => {
  assert.deepEqual(await read(new FakeSecrets()), nothing);
});

test('users come back as they were written', async () => {
  assert.deepEqual(await read(await stored(both)), both);
});

test('what the first release wrote is revision 1', async () => {
  const { secrets } = await stored(both);
  secrets.set(indexKey, JSON.stringify({ version: 1, ids: [ada.id, bob.id] }));
  assert.deepEqual(await read(new FakeSecrets(secrets)), both);
});

test('only what changed is written: records, then the index, then removals', async () => {
  const secrets = await stored(both);
  await new SecretUsers(secrets).write(both, { users: [{ ...bob, disabled: true }, cleo], revision: 2 });
  assert.deepEqual(secrets.calls, [
    `store ${keyFor(bob)}`,
    `store ${keyFor(cleo)}`,
    `store ${indexKey}`,
    `delete ${keyFor(ada)}`,
  ]);
  assert.deepEqual([...secrets.secrets.keys()].sort(), [keyFor(bob), keyFor(cleo), indexKey].sort());
});

test('a keyring that fails is unavailable, and its words are for nobody', async () => {
  for (const failing of ['get', 'store'] as const) {
    const secrets = await stored(both);
    secrets.fails = (call) => call === failing;
    const users = new SecretUsers(secrets);
    const calling = failing === 'get' ? users.read() : users.write(both, { users: [], revision: 2 });
    await assert.rejects(calling, (error) => isUnavailable(error) && !String(error).includes('keyring'));
  }
  const secrets = await stored(both);
  secrets.fails = (call, key) => call === 'get' && key === keyFor(bob);
  await assert.rejects(read(secrets), isUnavailable, 'one record alone is not damage');
});

test('a record that cannot be deleted lets nobody in', async () => {
  const secrets = await stored(both);
  secrets.fails = (call) => call === 'delete';
  const after = { users: [ada], revision: 2 };
  await new SecretUsers(secrets).write(both, after);
  assert.deepEqual(await read(secrets), after);
});

test('what is not understood is damage', async () => {
  const { secrets } = await stored(both);
  for (const [key, value] of [
    [indexKey, 'not JSON'],
    [indexKey, '{}'],
    [indexKey, JSON.stringify({ version: 2, ids: [] })],
    [indexKey, JSON.stringify({ version: 1, ids: [], revision: 0 })],
    [indexKey, JSON.stringify({ version: 1, ids: [], revision: 1, more: true })],
    [indexKey, JSON.stringify({ version: 1, ids: [ada.id, ada.id] })],
    [keyFor(ada), 'not JSON'],
    [keyFor(ada), JSON.stringify({ ...ada, role: 'King of all' })],
    [keyFor(ada), JSON.stringify({ ...ada, name: 'BOB' })],
  ] as const) {
    await assert.rejects(read(new FakeSecrets(new Map(secrets).set(key, value))), isDamaged, value);
  }
  const missing = new Map(secrets);
  missing.delete(keyFor(ada));
  await assert.rejects(read(new FakeSecrets(missing)), isDamaged);
});

test('a record that another window removes while this one reads is not damage', async () => {
  const secrets = await stored(both);
  const after = { users: [ada], revision: 2 };
  secrets.onGet = (key) => {
    if (key !== keyFor(ada)) return;
    secrets.onGet = () => undefined;
    secrets.secrets.set(indexKey, JSON.stringify({ version: 1, ids: [ada.id], revision: 2 }));
    secrets.secrets.delete(keyFor(bob));
  };
  assert.deepEqual(await read(secrets), after);
});

test('a window hears of changes of the users alone', async () => {
  const secrets = new FakeSecrets();
  let heard = 0;
  const listening = new SecretUsers(secrets).onDidChange(() => {
    heard += 1;
  });
  const tell = (key: string) => {
    for (const listener of secrets.listeners) listener({ key });
  };
  for (const key of [indexKey, keyFor(ada), 'ollamaGuard.password', 'another.secret']) tell(key);
  assert.equal(heard, 2);
  listening.dispose();
  assert.equal(secrets.listeners.size, 0);
});

const user = fc
  .record({ number: fc.integer({ min: 0, max: 5 }), disabled: fc.boolean(), key: fc.option(fc.integer({ min: 0 })) })
  .map(({ number, disabled, key }): User => {
    const record = userOf(`user${number}`, number, key === null ? [] : [keyOf(key)]);
    return disabled ? { ...record, disabled } : record;
  });
const users = fc.uniqueArray(user, { selector: ({ id }) => id });

test('a crash between any two calls leaves every user as before or as after, and nothing damaged', async () => {
  await fc.assert(
    fc.asyncProperty(users, users, fc.nat(14), async (before, after, calls) => {
      const old = { users: before, revision: 1 };
      const secrets = await stored(old);
      let left = calls;
      secrets.fails = () => left-- <= 0;
      const crashed = await new SecretUsers(secrets).write(old, { users: after, revision: 2 }).then(
        () => false,
        (error) => isUnavailable(error),
      );
      secrets.fails = () => false;
      const found = await read(secrets);
      const index = crashed ? before : after;
      assert.deepEqual(
        { ids: found.users.map(({ id }) => id), revision: found.revision },
        { ids: index.map(({ id }) => id), revision: crashed ? 1 : 2 },
      );
      const versions = [...before, ...after];
      for (const record of found.users) assert.ok(versions.some((version) => isDeepStrictEqual(version, record)));
      assert.equal(new Set(found.users.map(({ id }) => id)).size, found.users.length);
    }),
    { numRuns: 300 },
  );
});

test('a crash while one user is added, changed or removed leaves the old or the new set', async () => {
  const old = both;
  const edits: readonly (readonly User[])[] = [[ada, bob, cleo], [{ ...ada, disabled: true }, bob], [bob]];
  for (const after of edits) {
    for (let calls = 0; calls < 4; calls++) {
      const secrets = await stored(old);
      let left = calls;
      secrets.fails = () => left-- <= 0;
      await new SecretUsers(secrets).write(old, { users: after, revision: 2 }).catch(() => undefined);
      secrets.fails = () => false;
      const { users } = await read(secrets);
      assert.ok(isDeepStrictEqual(users, old.users) || isDeepStrictEqual(users, after), JSON.stringify(users));
    }
  }
});
