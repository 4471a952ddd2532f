import type { Message } from '../message.ts';
import { oneLine } from '../share/quote.ts';
import { isExpired, type User, userNameProblem, whyBarred } from './users.ts';

/** A public key as a file of them names it. */
export interface AuthorizedKey {
  /** The first word of the comment; undefined when that is no user name. */
  readonly user?: string;
  /** The base64 after the type. */
  readonly blob: string;
  /** What stands after the user name; the whole comment when there is none. */
  readonly label: string;
}

/** A line that is left out, and why. */
export interface AuthorizedKeysProblem {
  /** From 1. */
  readonly line: number;
  readonly reason: Message;
}

const keyLine = /^ssh-ed25519[ \t]+(\S+)(?:[ \t]+(.*))?$/;
/** As in signature.ts. */
const keyBlob = /^AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}$/;
const otherType = /^(ssh|ecdsa|sk)-\S+[ \t]/;
const laterType = /[ \t](ssh|ecdsa|sk)-\S+[ \t]/;
/** A word that Ollama would take for the list of paths that the key may call. */
const pathList = /(^|\s)[/*!]/;

const said = (text: string): Message => ({ text, args: {} });

const notEd25519 = said('This is a key of another type than ssh-ed25519, the one that the ollama command has.');
const noKey = said('This is no line of a key: it begins with neither ssh-ed25519 nor #.');
const damaged = said('This is no ed25519 public key: it is damaged or cut off.');
const restricted = said('This key may call some paths alone, which cannot be kept here: a role says what a user may.');
const optioned = said('Options before the type of the key cannot be kept here: a role says what a user may.');

/**
 * Reads public keys from a file such as OpenSSH's `authorized_keys` (sshd(8)) or the one that is proposed for Ollama
 * (https://github.com/ollama/ollama/pull/11574), whose lines are `ssh-ed25519 AAAA… bob /api/tags,/api/chat`. Whatever
 * holds a key back (options before the type, paths other than `*`) cannot be kept: such a line is a problem and left
 * out, so that no key may do more here than there.
 */
export function parseAuthorizedKeys(text: string): {
  readonly entries: readonly AuthorizedKey[];
  readonly problems: readonly AuthorizedKeysProblem[];
} {
  const entries: AuthorizedKey[] = [];
  const problems: AuthorizedKeysProblem[] = [];
  for (const [i, whole] of text.split('\n').entries()) {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) continue;
    const read = readLine(line);
    if ('text' in read) problems.push({ line: i + 1, reason: read });
    else entries.push(read);
  }
  return { entries, problems };
}

function readLine(line: string): AuthorizedKey | Message {
  const [, blob, comment = ''] = keyLine.exec(line) ?? [];
  if (blob === undefined) {
    if (otherType.test(line)) return notEd25519;
    return laterType.test(line) ? optioned : noKey;
  }
  if (!keyBlob.test(blob)) return damaged;
  const [, user = '', rest = ''] = /^(\S*)\s*(.*)$/.exec(comment) ?? [];
  const isNamed = userNameProblem(user) === undefined;
  const label = isNamed ? rest.replace(/^\*$/, '') : comment;
  if (pathList.test(label)) return restricted;
  return { ...(isNamed && { user }), blob, label };
}

/**
 * Writes the public keys of users as `parseAuthorizedKeys` reads them, a line for each. Such a file cannot say that a
 * user is switched off or that a key has run out, so that neither is in it; a label that would be read as a list of
 * paths is left out.
 *
 * @param at milliseconds since the epoch.
 */
export function formatAuthorizedKeys(users: readonly User[], at: number = Date.now()): string {
  const allowed = users.filter((user) => whyBarred(user, at) === undefined);
  const lines = allowed.flatMap(({ name, publicKeys = [] }) =>
    publicKeys
      .filter((key) => !isExpired(key, at))
      .map(({ blob, label }) => {
        const comment = oneLine(label).trim();
        return ['ssh-ed25519', blob, name, ...(comment === '' || pathList.test(comment) ? [] : [comment])].join(' ');
      }),
  );
  return lines.map((line) => `${line}\n`).join('');
}
