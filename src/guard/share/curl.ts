import { type ShellId, shells } from './shell.ts';

/** How the command signs in: as a user whose password curl asks for, or with an API key that was just made. */
export type CurlSignIn = { readonly user: string } | { readonly apiKey: string };

/**
 * A curl command that lists the models through the guard, ready to paste. It never holds a stored password: there is
 * none to be had.
 *
 * @param url the endpoint, such as `http://192.168.1.5:11435`.
 */
export function curlCommand(url: string, signIn: CurlSignIn, shellId: ShellId): string {
  const { curl, quote } = shells[shellId];
  const credential = 'user' in signIn ? ['-u', signIn.user] : ['-H', `Authorization: Bearer ${signIn.apiKey}`];
  return [curl, ...[...credential, `${url}/api/tags`].map(quote)].join(' ');
}
