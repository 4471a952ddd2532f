import type { SecureContextOptions } from 'node:tls';
import * as z from 'zod/mini';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { readBytes, readJson } from '../guard/forward/readJson.ts';
import { inviteIdOf } from '../guard/identity/invite.ts';
import { caPath } from '../guard/join/pages.ts';
import { type Invite, joinPath } from '../guard/share/inviteLink.ts';
import { oneLine } from '../guard/share/quote.ts';
import { ask, healthPath } from './ask.ts';
import type { Joined } from './joined.ts';
import { troubleOf } from './trouble.ts';
import { certificateWith, trusting } from './trust.ts';

/** An address that has not answered within this time is passed over, in milliseconds. */
const answerMs = 5_000;

/** How long an endpoint may take for the exchange: it asks its Ollama, and stores the key. In milliseconds. */
const exchangeMs = 15_000;

const maxWords = 500;

/** Beside what its page shows. */
const answer = z.object({
  user: z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/)),
  apiKey: z.string().check(z.regex(/^og_[a-z2-9]{10}_[A-Za-z0-9_-]{43}$/)),
});

const refusal = z.object({ error: z.string() });

/**
 * Exchanges an invite for an API key, at the first of its addresses where its endpoint answers. All are knocked at at
 * once, so that none is waited for twice; the code goes to one at a time, and only once that has proved to be the endpoint
 * that the invite is for.
 *
 * @throws GuardError `invite-refused` in the endpoint's words, `certificate-refused` where something else answers in
 *   its place, `endpoint-unreachable`; the signal's reason when it fires.
 */
export async function redeem(invite: Invite, signal: AbortSignal): Promise<Omit<Joined, 'port'>> {
  const addresses = withoutDowngrade(invite.addresses);
  const knocks = addresses.map((address) => knock(address, invite.caSha256, signal));
  // Those after the first good one are not waited for.
  for (const knock of knocks) knock.catch(() => undefined);
  const failures: unknown[] = [];
  for (const [i, address] of addresses.entries()) {
    try {
      const ca = await knocks[i];
      const { user, apiKey } = await exchange(address, invite.code, trusting(ca), signal);
      return { id: inviteIdOf(invite.code) ?? '', user, addresses: [...addresses], apiKey, ...(ca && { ca }) };
    } catch (error) {
      signal.throwIfAborted();
      if (GuardError.is(error, 'invite-refused')) throw error;
      failures.push(isNotTrusted(error) ? impostor(address, error) : error);
    }
  }
  throw failures.find((error) => GuardError.is(error)) ?? unreachable(addresses, failures[0]);
}

function isNotTrusted(error: unknown): boolean {
  return troubleOf(systemErrorCode(error)) === 'endpoint-unknown';
}

function impostor(address: string, cause: unknown): GuardError {
  return new GuardError(
    'certificate-refused',
    'What answers at {address} is not the endpoint that the invite is for, so nothing was told to it. Ask the owner for a new invite.',
    { args: { address }, cause },
  );
}

function unreachable(addresses: readonly string[], cause: unknown): GuardError {
  return new GuardError(
    'endpoint-unreachable',
    'The endpoint does not answer at {addresses}. Its owner may not be sharing right now, or this computer may not be in the same network.',
    { args: { addresses: addresses.join(', ') }, cause },
  );
}

/** An endpoint that encrypts is never spoken to in the clear, whatever stands in the way of its encrypted addresses. */
function withoutDowngrade(addresses: readonly string[]): readonly string[] {
  const encrypted = addresses.filter((address) => address.startsWith('https:'));
  return encrypted.length > 0 ? encrypted : addresses;
}

/**
 * Makes sure that somebody answers at an address, and gets the authority to trust, where the invite names one. Nothing
 * is told, so it does not matter yet who answers.
 *
 * @returns the authority, in PEM.
 * @throws GuardError `certificate-refused` when it is another one than in the invite.
 */
async function knock(address: string, caSha256: string | undefined, signal: AbortSignal): Promise<string | undefined> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
  if (caSha256 === undefined) {
    await readBytes(await ask(address, { path: healthPath, signal: limited }));
    return undefined;
  }
  const res = await ask(address, { path: caPath, tls: { rejectUnauthorized: false }, signal: limited });
  const ca = certificateWith(caSha256, (await readBytes(res)).toString());
  if (ca === undefined) throw impostor(address, undefined);
  return ca;
}

async function exchange(
  address: string,
  code: string,
  tls: SecureContextOptions,
  signal: AbortSignal,
): Promise<z.output<typeof answer>> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(exchangeMs)]);
  const res = await ask(address, { path: joinPath, json: { code }, tls, signal: limited });
  const body = await readJson(res);
  const accepted = answer.safeParse(body);
  if (res.statusCode === 200 && accepted.success) return accepted.data;
  const { data } = refusal.safeParse(body);
  if (data === undefined) throw new Error(`${address} answered ${res.statusCode}`);
  throw new GuardError('invite-refused', 'The endpoint did not take the invite: {words}', {
    args: { words: oneLine(data.error).slice(0, maxWords) },
  });
}
