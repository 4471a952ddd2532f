// One window as a process of its own: joins the others, joins again when the owner goes, and tells its parent.
// Arguments: the folder, and where in the claim to be killed ('before-link' or 'after-link'), if anywhere.
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import type { ControlChannel } from '../../../src/windows/channel.ts';
import { join } from '../../../src/windows/rendezvous.ts';

/** What a window tells its parent. */
export type Told =
  | { readonly joined: 'owner' | 'follower' }
  | { readonly heard: unknown }
  /** It has looked whether the owner's process is there. */
  | { readonly looked: true };

/** What the owner answers to whatever a follower says. */
export interface Answer {
  readonly owner: number;
  readonly said: unknown;
}

const [folder = '', dieAt] = process.argv.slice(2);
const tell = (what: Told) => process.send?.(what);
process.on('disconnect', () => process.exit());

const { kill } = process;
process.kill = (pid, signal) => {
  tell({ looked: true });
  return kill.call(process, pid, signal);
};
if (dieAt !== undefined) {
  const { link } = fs;
  fs.link = async (from, to) => {
    if (dieAt === 'after-link') await link(from, to);
    kill.call(process, process.pid, 'SIGKILL');
  };
  syncBuiltinESMExports();
}

let channel: ControlChannel | undefined;
process.on('message', (message) => channel?.postMessage(message));
for (;;) {
  const membership = await join({ folder, protocol: 1 });
  if (membership.role === 'owner') {
    membership.onFollower((follower) => {
      follower.on('message', (said) => follower.postMessage({ owner: process.pid, said } satisfies Answer));
    });
    tell({ joined: 'owner' });
    await new Promise(() => undefined);
  } else {
    channel = membership.channel;
    channel.on('message', (heard) => tell({ heard }));
    const gone = new Promise<void>((resolve) => channel?.onClose(resolve));
    tell({ joined: 'follower' });
    await gone;
  }
}
