import { renderUnicodeCompact } from 'uqr';
import { GuardError } from '../guard/errors.ts';
import { createInvite } from '../guard/identity/invite.ts';
import { applyEdit } from '../guard/identity/userEdit.ts';
import { createUser, isTaken, type User, whyBarred } from '../guard/identity/users.ts';
import { editorLink, type Invite, pageLink } from '../guard/share/inviteLink.ts';
import { type EndpointRecord, isRunning, untilSeen } from './endpointFile.ts';
import { isForThisComputer, reachOf } from './reach.ts';
import type { Terminal } from './terminal.ts';
import type { UsersFile } from './usersFile.ts';
import { moment } from './words.ts';

const editorScheme = 'vscode';
const extensionId = 'ollama-guard.ollama-guard';

/** A link holds so many addresses at most; a QR code of more than two is too fine for a phone. */
const maxAddresses = 16;
const maxQrAddresses = 2;

/** Whom to invite, and what for. */
export interface InviteRequest {
  readonly name: string;
  /** Left out for the role that a user has, or `member` for a new one. */
  readonly role?: string;
  /** How long the API key works that the invite is exchanged for, in milliseconds. */
  readonly accessMs?: number;
}

/**
 * `ollama-guard invite NAME`: makes the user if there is none, and a link for that person alone.
 *
 * @param endpoint what the guard of the data folder says of itself.
 * @throws GuardError when no guard runs, the user has another role or is let in nowhere, and what storing throws.
 */
export async function invite(
  { file, terminal }: { readonly file: UsersFile; readonly terminal: Terminal },
  request: InviteRequest,
  endpoint: EndpointRecord | undefined,
): Promise<void> {
  if (endpoint === undefined || !isRunning(endpoint)) {
    throw new GuardError('endpoint-unreachable', `Start the guard first: ollama-guard serve`);
  }
  const { name } = request;
  const { record, code } = createInvite(request.accessMs);
  const users = await file.update((before) =>
    applyEdit(withInvitee(before, request), { kind: 'add-invite', name, invite: record }),
  );
  const made: Invite = {
    addresses: reachOf(endpoint)
      .map(({ url }) => url)
      .slice(0, maxAddresses),
    ...(endpoint.trust && { caSha256: endpoint.trust.sha256 }),
    code,
    user: name,
  };
  await untilSeen(endpoint);
  const role = users.find((user) => user.name === name)?.role;
  terminal.say(`Invite for ${name} (${role}). It works once, until ${moment(record.expiresAt)}:`);
  terminal.out(pageLink(made));
  terminal.say(`In VS Code: ${editorLink(editorScheme, extensionId, made)}`);
  if (isForThisComputer(endpoint)) {
    terminal.say(
      'The guard listens on this computer alone, and so the link works here alone. ' +
        `Stop it, start it with --listen 0.0.0.0:${new URL(endpoint.url).port} --tls auto, and invite again.`,
    );
  }
  const qr = renderUnicodeCompact(pageLink({ ...made, addresses: made.addresses.slice(0, maxQrAddresses) }));
  if (fits(qr, terminal)) terminal.say(qr);
}

/** The users with whom is invited among them. */
function withInvitee(users: readonly User[], { name, role }: InviteRequest): readonly User[] {
  const user = users.find((candidate) => candidate.name === name);
  if (user === undefined) {
    if (isTaken(users, name)) throw new GuardError('user-exists', `There is a user "${name}" written otherwise.`);
    return applyEdit(users, { kind: 'add-user', user: createUser(name, role ?? 'member') });
  }
  if (role !== undefined && role !== user.role) {
    throw new GuardError(
      'user-exists',
      `${name} is there as ${user.role}: take another name, or remove the user first.`,
    );
  }
  const barred = whyBarred(user, Date.now());
  if (barred !== undefined) throw new GuardError('user-invalid', `${name} is ${barred}, and could not use an invite.`);
  return users;
}

function fits(picture: string, { columns }: Terminal): boolean {
  return columns !== undefined && picture.split('\n').every((line) => line.length <= columns);
}
