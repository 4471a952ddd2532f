/**
 * A guard in a process of its own, for tests in a browser: their types, and Node's with everything the guard has, do not
 * go together. Takes its configuration as an argument and answers over IPC.
 */
import { parseConfig } from '../../src/guard/config.ts';
import { Guard } from '../../src/guard/guard.ts';
import { createInvite } from '../../src/guard/identity/invite.ts';
import { applyEdit, type UserEdit } from '../../src/guard/identity/userEdit.ts';
import { addUser, type User } from '../../src/guard/identity/users.ts';
import { pageLink } from '../../src/guard/share/inviteLink.ts';
import { createMemoryVault } from '../../src/guard/tls/vault.ts';

/** What is asked of it: a link for somebody, or how many invites were exchanged. */
type Call = { readonly invite: string; readonly address: string } | 'redeemed';

let users: readonly User[] = addUser(addUser([], 'alice', 'member'), 'bob', 'member');
let redeemed = 0;

function edit(change: UserEdit): void {
  users = applyEdit(users, change);
  guard.setUsers(users);
}

const guard = await Guard.start({
  config: parseConfig(JSON.parse(process.argv[2] ?? '{}')),
  users,
  comparePassword: async () => false,
  vault: createMemoryVault(),
  redeemInvite: async (inviteId, key) => {
    edit({ kind: 'redeem-invite', inviteId, key });
    redeemed += 1;
  },
  onTls: () => {},
  onReport: () => {},
});
const caSha256 = guard.tls?.anchor?.sha256;

process.on('message', (call: Call) => {
  if (call === 'redeemed') {
    process.send?.(redeemed);
    return;
  }
  const { record, code } = createInvite(7 * 86_400_000);
  edit({ kind: 'add-invite', name: call.invite, invite: record });
  process.send?.(pageLink({ addresses: [call.address], code, user: call.invite, ...(caSha256 && { caSha256 }) }));
});
process.once('disconnect', () => void guard.stop(0));
// Said first.
process.send?.({ url: guard.url });
