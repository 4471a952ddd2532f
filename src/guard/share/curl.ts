import { type ShellId, shells } from './shell.ts';
import type { Trust } from './trust.ts';

/** How the command signs in: as a user whose password curl asks for, or with an API key that was just made. */
export type CurlSignIn = { readonly user: string } | { readonly apiKey: string };

/**
 * What tells curl to know the endpoint by its own public key: `-k` leaves the chain out of it, and the pin takes its
 * place before anything is sent. Never the one without the other. https://curl.se/libcurl/c/CURLOPT_PINNEDPUBLICKEY.html
 */
export function curlTrust(trust: Trust | undefined): readonly string[] {
  return trust === undefined ? [] : ['-k', '--pinnedpubkey', trust.publicKeyPin];
}

/**
 * A curl command that lists the models through the guard, ready to paste. It never holds a stored password: there is
 * none to be had.
 *
 * @param url the endpoint, such as `http://192.168.1.5:11435`.
 * @param trust left out when nothing is encrypted, or every system knows the endpoint.
 */
export function curlCommand(url: string, signIn: CurlSignIn, shellId: ShellId, trust?: Trust): string {
  const { curl, quote } = shells[shellId];
  const credential = 'user' in signIn ? ['-u', signIn.user] : ['-H', `Authorization: Bearer ${signIn.apiKey}`];
  return [curl, ...[...curlTrust(trust), ...credential, `${url}/api/tags`].map(quote)].join(' ');
}
