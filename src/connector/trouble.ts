import type { RefusalCode } from '../guard/answers.ts';
import type { Message } from '../guard/message.ts';

/** What the owner of the connector is told, by what its clients are refused with. */
const messages = {
  'endpoint-unknown': {
    text: 'What answers there is not the endpoint that was joined, or its certificate has run out. Nothing was sent to it. Ask its owner for a new invite.',
    args: {},
  },
  'endpoint-failed': { text: 'It breaks connections off before it answers. Ask its owner.', args: {} },
  'endpoint-unreachable': {
    text: 'Its owner is not sharing right now, or this computer is not in the same network.',
    args: {},
  },
  'access-ended': { text: 'Your access has ended. Ask its owner for a new invite.', args: {} },
} as const satisfies Partial<Record<RefusalCode, Message>>;

/** Why nothing comes through to an endpoint, most telling first. */
export type Trouble = keyof typeof messages;

/** Nobody answered: what is there may have gone, or be somewhere else. */
const silent: ReadonlySet<string> = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN']);
const absent: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL']);

/** OpenSSL's reasons, and what it says when the other side does not speak TLS: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const notTrusted = /CERT|CRL|CA$|PURPOSE|HOSTNAME|^UNABLE_TO|^ERR_(TLS|SSL)_|^EPROTO$|^UNSPECIFIED$/;

/** What a failed connection means, by the error's code. */
export function troubleOf(code: string | undefined = ''): Trouble {
  if (isSilence(code) || absent.has(code)) return 'endpoint-unreachable';
  return notTrusted.test(code) ? 'endpoint-unknown' : 'endpoint-failed';
}

/** Whether nobody answered at all, as when the way there leads nowhere any more. */
export function isSilence(code: string | undefined): boolean {
  return silent.has(code ?? '');
}

/** The most telling of several. */
export function worst(troubles: readonly Trouble[]): Trouble {
  return (Object.keys(messages) as Trouble[]).find((trouble) => troubles.includes(trouble)) ?? 'endpoint-unreachable';
}

/** A trouble in words. */
export function messageOf(trouble: Trouble): Message {
  return messages[trouble];
}
