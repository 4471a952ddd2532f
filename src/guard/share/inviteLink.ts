import * as z from 'zod/mini';
import { GuardError } from '../errors.ts';

/** The page of an endpoint that redeems invites. */
export const joinPath = '/_guard/join';

/** What an invite says to whoever is invited. */
export interface Invite {
  /** Where the endpoint is reached, best first, such as `https://192.168.1.5:11435`. */
  readonly addresses: readonly string[];
  /** SHA-256 of the certificate to trust, in colon-separated hexadecimal; left out when every system trusts it. */
  readonly caSha256?: string;
  /** The one-time code. */
  readonly code: string;
  /** Who is invited. */
  readonly user: string;
}

/** URLs take commas, quotes and `$(…)` in a host, which read as something else where an address is shown. */
const plainHost = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)$/;

const address = z.string().check(
  z.maxLength(300),
  z.refine((value) => {
    const url = URL.parse(value);
    return url !== null && /^https?:$/.test(url.protocol) && url.origin === value && plainHost.test(url.hostname);
  }),
);

/** Short names: the whole of it is a QR code too. */
const payload = z.strictObject({
  v: z.literal(1),
  a: z.array(address).check(z.minLength(1), z.maxLength(16)),
  f: z.optional(z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/))),
  c: z.string().check(z.regex(/^oi_[a-z2-9]{10}_[A-Za-z0-9_-]{22}$/)),
  u: z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/)),
});

/** A link into an editor: its scheme, such as `vscode`, and the extension's id. It opens Join a Shared Ollama. */
export function editorLink(scheme: string, extensionId: string, invite: Invite): string {
  return `${scheme}://${extensionId}/join#${encode(invite)}`;
}

/** A link to the endpoint's own page, on its first address. What follows the `#` never leaves the browser by itself. */
export function pageLink(invite: Invite): string {
  return `${invite.addresses[0]}${joinPath}#${encode(invite)}`;
}

/**
 * Reads a link of either kind.
 *
 * @throws GuardError `link-invalid`.
 */
export function parseInviteLink(link: string): Invite {
  const fragment = /#([A-Za-z0-9_-]{1,8000})$/.exec(link.trim())?.[1];
  try {
    const { a, c, f, u } = payload.parse(JSON.parse(Buffer.from(fragment ?? '', 'base64url').toString()));
    // A fingerprint is of an endpoint that encrypts.
    if (f !== undefined && !a.some((address) => address.startsWith('https:'))) throw new Error('in the clear');
    const caSha256 = f && Buffer.from(f, 'base64url').toString('hex').toUpperCase().match(/../g)?.join(':');
    return { addresses: a, code: c, user: u, ...(caSha256 && { caSha256 }) };
  } catch {
    // Without the cause: what cannot be parsed is quoted there, and may hold a code.
    throw new GuardError('link-invalid', 'This is not an invite. Copy the whole link, what follows the # included.');
  }
}

function encode({ addresses, caSha256, code, user }: Invite): string {
  const f = caSha256 && Buffer.from(caSha256.replaceAll(':', ''), 'hex').toString('base64url');
  return Buffer.from(JSON.stringify({ v: 1, a: addresses, ...(f && { f }), c: code, u: user })).toString('base64url');
}
