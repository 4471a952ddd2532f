import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GuardError } from '../../../src/guard/errors.ts';
import { applyEdit, type UserEdit } from '../../../src/guard/identity/userEdit.ts';
import type { User } from '../../../src/guard/identity/users.ts';
import { type KeptUsers, type StoredUsers, type UserStore, UsersKeeper } from '../../../src/windows/usersKeeper.ts';
import { idOf, keyOf, userOf } from '../../support/usersOf.ts';

/** How a store takes a write: it does it, it fails, or it does it and says that it failed. */
type Writes = 'done' | 'failed' | 'done-but-failed';

const unavailable = () => new GuardError('data-unavailable', 'The store fails.');

/** A store that fails when it is told to. */
class FickleStore implements UserStore {
  stored: StoredUsers;
  canRead = true;
  isDamaged = false;
  writes: Writes = 'done';
  written = 0;

  constructor(users: readonly User[] = [], revision = 0) {
    this.stored = { users, revision };
  }

  async read(): Promise<StoredUsers> {
    await new Promise(setImmediate);
    if (!this.canRead) throw unavailable();
    if (this.isDamaged) throw new GuardError('data-damaged', 'The store is damaged.');
    return this.stored;
  }

  async write(_before: StoredUsers, { users, revision }: StoredUsers): Promise<void> {
    const { writes } = this;
    await Promise.resolve();
    if (writes !== 'failed') {
      this.stored = { users, revision };
      this.written += 1;
    }
    if (writes !== 'done') throw unavailable();
  }

  /** Another window, which cannot meet this one, makes an edit. */
  editElsewhere(edit: UserEdit): void {
    const { users, revision } = this.stored;
    this.stored = { users: applyEdit(users, edit), revision: revision + 1 };
  }

  recover(): void {
    this.canRead = true;
    this.writes = 'done';
  }
}

const nobody: StoredUsers = { users: [], revision: 0 };

function keep(store: UserStore, known: StoredUsers = nobody) {
  const told: KeptUsers[] = [];
  return { keeper: new UsersKeeper(store, known, (kept) => told.push(kept)), told };
}

const add = (name: string, number: number): UserEdit => ({ kind: 'add-user', user: userOf(name, number) });
const namesOf = ({ users }: StoredUsers): readonly string[] => users.map(({ name }) => name);

test('edits are stored one after the other, and told of before they are acknowledged', async () => {
  const store = new FickleStore([userOf('first', 1)], 4);
  const { keeper, told } = keep(store);
  await keeper.load();
  assert.deepEqual(told, [{ users: [userOf('first', 1)], revision: 4, storage: 'kept' }]);
  await Promise.all([keeper.edit(add('second', 2)), keeper.edit(add('third', 3))]);
  assert.deepEqual(namesOf(store.stored), ['first', 'second', 'third']);
  assert.equal(store.stored.revision, 6);
  assert.deepEqual(told.at(-1), { ...store.stored, storage: 'kept' });
});

test('what is stored already is neither told of nor written again', async () => {
  const store = new FickleStore();
  const { keeper, told } = keep(store);
  await keeper.edit(add('a', 1));
  await keeper.load();
  await keeper.load();
  assert.deepEqual([told.length, store.written], [1, 1]);
});

test('an edit that cannot be made changes nothing', async () => {
  const store = new FickleStore([userOf('a', 1)], 1);
  const { keeper, told } = keep(store);
  await keeper.load();
  const unreadable = { ...userOf('b', 2), role: 'King of all' } as unknown as User;
  for (const [edit, code] of [
    [add('A', 2), 'user-exists'],
    [{ kind: 'remove-user', name: 'b' }, 'user-unknown'],
    [{ kind: 'add-user', user: unreadable }, 'data-damaged'],
    [{ kind: 'change-user', name: 'a', change: { passwordHash: 'secret' } }, 'data-damaged'],
    [{ kind: 'no such edit' }, 'data-damaged'],
  ] as const) {
    await assert.rejects(keeper.edit(edit as UserEdit), (error) => GuardError.is(error, code));
  }
  assert.deepEqual([told.length, store.written], [1, 0]);
  await keeper.edit(add('b', 2));
  assert.deepEqual(namesOf(store.stored), ['a', 'b']);
});

test('several edits are one write, and all of them are made or none', async () => {
  const store = new FickleStore([userOf('a', 1)], 1);
  const { keeper } = keep(store);
  await keeper.load();
  const several = (...edits: readonly UserEdit[]): UserEdit => ({ kind: 'several', edits });
  await assert.rejects(keeper.edit(several(add('b', 2), add('A', 3))), (error) => GuardError.is(error, 'user-exists'));
  assert.deepEqual([store.written, namesOf(keeper.kept)], [0, ['a']]);
  await keeper.edit(several(add('b', 2), add('c', 3)));
  assert.deepEqual([store.written, namesOf(store.stored)], [1, ['a', 'b', 'c']]);
});

test('of several edits that waited for the store those that still fit are made', async () => {
  const store = new FickleStore([userOf('a', 1)], 1);
  const { keeper } = keep(store);
  await keeper.load();
  store.writes = 'failed';
  await keeper.edit({ kind: 'several', edits: [add('b', 2), add('c', 3)] });
  store.editElsewhere(add('B', 4));
  store.recover();
  await keeper.load();
  assert.deepEqual(namesOf(store.stored), ['a', 'B', 'c']);
});

test('a damaged store is left alone, and memory stays as it was', async () => {
  const store = new FickleStore([userOf('a', 1)], 1);
  const { keeper, told } = keep(store);
  await keeper.load();
  store.isDamaged = true;
  await assert.rejects(keeper.load(), (error) => GuardError.is(error, 'data-damaged'));
  await assert.rejects(keeper.edit(add('b', 2)), (error) => GuardError.is(error, 'data-damaged'));
  assert.deepEqual([told.length, store.written, namesOf(keeper.kept)], [1, 0, ['a']]);
  store.isDamaged = false;
  await keeper.edit(add('c', 3));
  assert.deepEqual(namesOf(store.stored), ['a', 'c'], 'the refused edit is not made later');
});

test('memory holds edits while the store fails, and says so', async () => {
  const store = new FickleStore([userOf('a', 1)], 1);
  const { keeper, told } = keep(store);
  store.canRead = false;
  await keeper.load();
  await keeper.edit(add('b', 2));
  assert.deepEqual(
    told.map(({ storage }) => storage),
    ['memory', 'memory'],
  );
  assert.deepEqual(namesOf(keeper.kept), ['b']);
  store.recover();
  await keeper.load();
  assert.deepEqual(namesOf(keeper.kept), ['a', 'b']);
  assert.deepEqual({ ...store.stored, storage: 'kept' }, keeper.kept);
});

test('who takes over goes by what it heard when the store is behind, and by the store when that is ahead', async () => {
  const behind = new FickleStore([userOf('a', 1)], 1);
  const heard = { users: [userOf('a', 1), userOf('b', 2)], revision: 2 };
  await keep(behind, heard).keeper.load();
  assert.deepEqual(behind.stored, heard);

  const ahead = new FickleStore([userOf('a', 1), userOf('b', 2), userOf('c', 3)], 3);
  const { keeper } = keep(ahead, heard);
  await keeper.load();
  assert.deepEqual(namesOf(keeper.kept), ['a', 'b', 'c']);
});

test('of what was heard only the users are kept', async () => {
  const { keeper } = keep(new FickleStore(), { ...nobody, state: { status: 'running' } } as StoredUsers);
  assert.deepEqual(keeper.kept, { ...nobody, storage: 'kept' });
});

test('of two edits that two windows made at one revision memory goes by the one that is stored', async () => {
  const store = new FickleStore();
  const { keeper } = keep(store);
  await keeper.edit(add('mine', 1));
  store.stored = { users: [userOf('theirs', 2)], revision: 1 };
  await keeper.load();
  assert.deepEqual(namesOf(keeper.kept), ['theirs']);
});

test('a key whose write was reported as failed is there once', async () => {
  const store = new FickleStore([userOf('a', 1)], 1);
  const { keeper } = keep(store);
  await keeper.load();
  store.writes = 'done-but-failed';
  await keeper.edit({ kind: 'add-key', name: 'a', key: keyOf(2) });
  assert.equal(keeper.kept.storage, 'memory');
  store.recover();
  await keeper.load();
  assert.deepEqual(store.stored.users, [userOf('a', 1, [keyOf(2)])]);
});

test('settled waits for the edits that were asked for', async () => {
  const store = new FickleStore();
  const { keeper } = keep(store);
  const edit = keeper.edit(add('a', 1));
  const bad = assert.rejects(keeper.edit(add('a', 2)));
  await keeper.settled();
  assert.equal(store.written, 1);
  await Promise.all([edit, bad]);
});

/** What happens to a keeper. */
type Event =
  | { readonly kind: 'edit'; readonly edit: UserEdit }
  | { readonly kind: 'elsewhere'; readonly number: number }
  | { readonly kind: 'reads'; readonly can: boolean }
  | { readonly kind: 'writes'; readonly writes: Writes }
  | { readonly kind: 'load' }
  | { readonly kind: 'pause' };

const name = fc.constantFrom('a', 'b', 'c');
const number = fc.integer({ min: 0, max: 1e9 });
const key = fc.integer({ min: 0, max: 4 });
const edit: fc.Arbitrary<UserEdit> = fc.oneof(
  fc.record({ name, number }).map(({ name, number }) => add(name, number)),
  name.map((name): UserEdit => ({ kind: 'remove-user', name })),
  fc
    .record({ name, off: fc.boolean() })
    .map(({ name, off }): UserEdit => ({ kind: 'change-user', name, change: { disabled: off || null } })),
  fc.record({ name, key }).map(({ name, key }): UserEdit => ({ kind: 'add-key', name, key: keyOf(key) })),
  key.map((key): UserEdit => ({ kind: 'revoke-key', keyId: idOf(key) })),
);
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: edit.map((edit): Event => ({ kind: 'edit', edit })) },
  { weight: 1, arbitrary: number.map((number): Event => ({ kind: 'elsewhere', number })) },
  { weight: 2, arbitrary: fc.boolean().map((can): Event => ({ kind: 'reads', can })) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom<Writes>('done', 'failed', 'done-but-failed')
      .map((writes): Event => ({ kind: 'writes', writes })),
  },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'load' }) },
  { weight: 3, arbitrary: fc.constant<Event>({ kind: 'pause' }) },
);

/** Key ids are drawn from a few, and in earnest none is ever made twice. */
function isNewKey(made: Set<string>, edit: UserEdit): boolean {
  if (edit.kind !== 'add-key') return true;
  if (made.has(edit.key.id)) return false;
  made.add(edit.key.id);
  return true;
}

/** By name: what two windows add comes in either order. */
const sorted = (users: readonly User[]) => users.toSorted((a, b) => a.name.localeCompare(b.name));

test('whatever the store does, in the end it holds every edit that was acknowledged, in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 30 }), fc.boolean(), async (events, isStocked) => {
      const store = isStocked ? new FickleStore([userOf('a', 1), userOf('b', 2)], 7) : new FickleStore();
      const { users: before } = store.stored;
      const { keeper } = keep(store);
      const keys = new Set<string>();
      const edits: { readonly edit: UserEdit; readonly isMade: Promise<boolean> }[] = [];
      const elsewhere: User[] = [];
      for (const happening of events) {
        switch (happening.kind) {
          case 'edit': {
            const { edit } = happening;
            if (!isNewKey(keys, edit)) break;
            const isMade = keeper.edit(edit).then(
              () => true,
              (error) => (GuardError.is(error) ? false : Promise.reject(error)),
            );
            edits.push({ edit, isMade });
            break;
          }
          case 'elsewhere': {
            // Not between another's reading and writing: nothing can be done about that without a lock.
            await keeper.settled();
            const user = userOf(`z${elsewhere.length}`, happening.number);
            elsewhere.push(user);
            store.editElsewhere({ kind: 'add-user', user });
            break;
          }
          case 'reads':
            store.canRead = happening.can;
            break;
          case 'writes':
            store.writes = happening.writes;
            break;
          case 'load':
            void keeper.load();
            break;
          case 'pause':
            await keeper.settled();
        }
      }
      await keeper.settled();
      store.recover();
      await keeper.load();

      let expected = before;
      for (const { edit, isMade } of edits) {
        if (await isMade) expected = orAsItWas(expected, edit);
      }
      assert.deepEqual(sorted(store.stored.users), sorted([...expected, ...elsewhere]));
      assert.deepEqual(keeper.kept, { ...store.stored, storage: 'kept' });
    }),
    { numRuns: 500 },
  );
});

/** An edit that was made on memory alone, and does not fit what the store turned out to hold, is left out. */
function orAsItWas(users: readonly User[], edit: UserEdit): readonly User[] {
  try {
    return applyEdit(users, edit);
  } catch {
    return users;
  }
}
