import { setTimeout as wait } from 'node:timers/promises';
import { type Authorization, Client, crypto, type Order } from 'acme-client';
import { GuardError } from '../errors.ts';
import { openResponder, type Responder } from './acmeChallenge.ts';
import { ChallengeError, DirectoryError, parseError } from './acmeDirectory.ts';
import { externalAccountRefused } from './acmeErrors.ts';
import { type Account, accounts, isPair } from './acmeStore.ts';
import { type Certificate, certificatesIn } from './certificate.ts';
import type { Challenges } from './source.ts';
import type { TlsConfigOf } from './tlsConfig.ts';
import type { Vault } from './vault.ts';

type AcmeConfig = TlsConfigOf<'acme'>;

/** Between two looks at what a directory is still busy with, in milliseconds: the first time, and at most. */
const firstLookMs = 250;
const maxLookMs = 5_000;

/** What an order works with. */
export interface OrderPorts {
  readonly vault: Vault;
  readonly challenges: Challenges;
  /** Gives the order up. */
  readonly signal: AbortSignal;
}

/**
 * Gets a certificate from a directory: RFC 8555 §7.4. To be run within an `exchange` with it.
 *
 * @throws GuardError what stands in the way here.
 * @throws DirectoryError what the directory says no with.
 */
export async function orderCertificate(config: AcmeConfig, ports: OrderPorts): Promise<Certificate> {
  // Whatever can fail here fails before anything is asked for.
  const responder = await openResponder(config, ports.challenges);
  try {
    const { client, order } = await placeOrder(config, ports.vault);
    for (const authorization of await client.getAuthorizations(order)) {
      if (authorization.status !== 'valid') await authorize(client, authorization, config, responder, ports.signal);
    }
    return await collect(client, order, config, ports.signal);
  } finally {
    responder.close();
  }
}

/** Places an order, with a new account where the directory has forgotten the one it gave. */
async function placeOrder(config: AcmeConfig, vault: Vault): Promise<{ client: Client; order: Order }> {
  const identifiers = [{ type: 'dns', value: config.domain }];
  const place = async (account: Account | undefined) => {
    const client = await signIn(config, vault, account);
    return { client, order: await client.createOrder({ identifiers }) };
  };
  const known = await accounts.find(vault, { directory: config.directory });
  try {
    return await place(known);
  } catch (error) {
    if (known?.url === undefined || !DirectoryError.is(error, 'accountDoesNotExist')) throw error;
    const { url: _forgotten, ...account } = known;
    return place(account);
  }
}

/** A client with an account, which is asked for once and whose e-mail address follows the configuration. */
async function signIn(config: AcmeConfig, vault: Vault, known: Account | undefined): Promise<Client> {
  const { directory, email } = config;
  const account: Account = known ?? { directory, key: String(await crypto.createPrivateEcdsaKey()) };
  const externalAccountBinding = await externalAccount(config, vault);
  const client = new Client({
    directoryUrl: directory,
    accountKey: account.key,
    ...(account.url !== undefined && { accountUrl: account.url }),
    ...(externalAccountBinding && { externalAccountBinding }),
  });
  if (account.url !== undefined && account.email === email) return client;
  // Who asks again with the same key gets the same account (RFC 8555 §7.3.1), so the key is kept before it is used.
  if (known === undefined) await accounts.save(vault, account);
  // Updates the account where there is one.
  const contact = email === undefined ? [] : [`mailto:${email}`];
  await client.createAccount({ termsOfServiceAgreed: true, contact }).catch((error: unknown) => {
    throw isAboutExternalAccount(config, error) ? externalAccountRefused(config, error) : error;
  });
  const { email: _before, ...rest } = account;
  await accounts.save(vault, { ...rest, url: client.getAccountUrl(), ...(email !== undefined && { email }) });
  return client;
}

/** RFC 8555 §7.3.4. */
async function externalAccount({ externalAccount: kid }: AcmeConfig, vault: Vault) {
  if (kid === undefined) return undefined;
  const hmacKey = (await vault.read('acme-external-account'))?.trim();
  if (hmacKey) return { kid, hmacKey };
  throw new GuardError(
    'certificate-unavailable',
    'There is no HMAC key for the external account {account}. Enter the one that the certificate authority gave you.',
    { args: { account: kid } },
  );
}

function isAboutExternalAccount({ externalAccount: account }: AcmeConfig, error: unknown): error is DirectoryError {
  return account !== undefined && (DirectoryError.is(error, 'unauthorized') || DirectoryError.is(error, 'malformed'));
}

/** Shows that this endpoint has a domain: RFC 8555 §7.5.1. */
async function authorize(
  client: Client,
  authorization: Authorization,
  { domain, directory, challenge: type }: AcmeConfig,
  responder: Responder,
  signal: AbortSignal,
): Promise<void> {
  const challenge = authorization.challenges.find((offered) => offered.type === type);
  if (challenge === undefined) {
    throw new GuardError(
      'certificate-unavailable',
      'The ACME directory {directory} offers no {challenge} challenge for {domain}. Choose another challenge.',
      { args: { directory, challenge: type, domain } },
    );
  }
  await responder.answer(authorization, challenge.token, await client.getChallengeKeyAuthorization(challenge));
  await client.completeChallenge(challenge);
  await until(signal, async () => {
    const [seen] = await client.getAuthorizations({ authorizations: [authorization.url] } as Order);
    if (seen?.status === 'valid') return true;
    if (seen?.status === 'pending') return undefined;
    const { error } = seen?.challenges.find((offered) => offered.type === type) ?? {};
    throw new ChallengeError(parseError(error, seen?.status ?? ''));
  });
}

/** Has a certificate made of an order whose domains are shown, with a key of its own, and gets it: RFC 8555 §7.4. */
async function collect(client: Client, placed: Order, config: AcmeConfig, signal: AbortSignal): Promise<Certificate> {
  const look = async (ready: readonly string[]): Promise<Order> =>
    until(signal, async () => {
      const order = await client.getOrder(placed);
      if (ready.includes(order.status)) return order;
      if (order.status === 'invalid') throw new DirectoryError(parseError(order.error, order.status));
      return undefined;
    });
  const order = await look(['ready', 'valid']);
  const ownKey = await crypto.createPrivateEcdsaKey();
  const [key, request] = await crypto.createCsr({ altNames: [config.domain] }, ownKey);
  await client.finalizeOrder(order, request);
  const chain = await client.getCertificate(await look(['valid']));
  const certificate = { chain, key: String(key) };
  if (isPair(certificate) && certificatesIn(chain)[0]?.checkHost(config.domain) !== undefined) return certificate;
  throw new GuardError(
    'certificate-unavailable',
    'The ACME directory {directory} gave a certificate that is not for {domain}. Ask whoever runs it.',
    { args: { directory: config.directory, domain: config.domain } },
  );
}

/** Looks again and again until there is something to see. */
async function until<T>(signal: AbortSignal, look: () => Promise<T | undefined>): Promise<T> {
  for (let pause = firstLookMs; ; pause = Math.min(2 * pause, maxLookMs)) {
    const seen = await look();
    if (seen !== undefined) return seen;
    await wait(pause, undefined, { signal });
  }
}
