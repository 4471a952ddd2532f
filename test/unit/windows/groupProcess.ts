// One window as a process of its own: makes a group, does what its parent says, and tells what it hears.
// Arguments: the folder of the group, and the file of the users.
import { dirname, join } from 'node:path';
import { GuardError } from '../../../src/guard/errors.ts';
import { createMemoryVault } from '../../../src/guard/tls/vault.ts';
import { Group } from '../../../src/windows/group.ts';
import type { Snapshot } from '../../../src/windows/messages.ts';
import { JsonJoined } from '../../support/jsonJoined.ts';
import { JsonUsers } from '../../support/jsonUsers.ts';

/** What a parent asks for: a call of the group, that the store works or fails from now on, or that the window goes. */
export type Asked =
  | { readonly id: number; readonly call: keyof Group; readonly args: readonly unknown[] }
  | { readonly store: 'works' | 'fails' }
  | { readonly window: 'gone' };

/** What a window tells its parent. */
export type Told =
  | { readonly shown: GroupView }
  /** A report of activity came. */
  | { readonly activity: true }
  /** What nobody is to see in a test: problems, warnings, unhandled rejections. */
  | { readonly trouble: string }
  | { readonly id: number; readonly failure?: string };

/** A window at one moment. */
export interface GroupView {
  readonly isOwner: boolean;
  readonly status: string;
  readonly snapshot: Snapshot;
}

const [folder = '', usersFile = ''] = process.argv.slice(2);
const tell = (told: Told) => void (process.connected && process.send?.(told));
process.on('unhandledRejection', (reason) => tell({ trouble: `unhandled: ${String(reason)}` }));
process.on('warning', (warning) => {
  if (warning.name !== 'DeprecationWarning') tell({ trouble: String(warning) });
});
// A parent that has gone leaves nobody to end this process.
process.on('disconnect', () => setTimeout(() => process.kill(process.pid, 'SIGKILL'), 20_000).unref());

const store = new JsonUsers(usersFile);
const group = new Group({
  vault: createMemoryVault(),
  joined: new JsonJoined(join(dirname(usersFile), 'joined.json')),
  folder,
  store,
  hasWindow: async () => !store.neverAnswers,
  listener: {
    onChange: () => show(),
    onActivity: () => tell({ activity: true }),
    onEvents: () => undefined,
    onProblem: (error) => tell({ trouble: `problem: ${String(error)}` }),
  },
});

/** Errors lose their class on the way between processes. */
function revive(argument: unknown): unknown {
  const { code, detail } = argument as Partial<GuardError>;
  return code === undefined || detail === undefined ? argument : new GuardError(code, detail.text, detail);
}

function show(): void {
  tell({ shown: { isOwner: group.isOwner, status: group.state.status, snapshot: group.snapshot } });
}

process.on('message', async (asked: Asked) => {
  if ('store' in asked) {
    store.fails = asked.store === 'fails';
    return;
  }
  if ('window' in asked) {
    store.neverAnswers = true;
    return;
  }
  const { id, call } = asked;
  const args = asked.args.map(revive);
  // Nobody gives up here; a signal does not go from process to process.
  if (call === 'join') args.push(new AbortController().signal);
  try {
    await (group[call] as (...args: readonly unknown[]) => unknown)(...args);
    tell({ id });
  } catch (error) {
    tell({ id, failure: GuardError.is(error) ? error.code : String(error) });
  }
  // Nothing may keep a window that has left the group alive.
  if (call === 'close') process.disconnect();
});
show();
