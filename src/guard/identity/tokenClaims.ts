import { hash } from 'node:crypto';
import * as z from 'zod/mini';
import { modelGlob, type TokenIssuer } from '../policy/policyDocument.ts';
import type { Identity } from './authenticator.ts';
import { userNameProblem } from './users.ts';

const maxGlobs = 100;

/** Claims, as JSON has them. */
export type Claims = Readonly<Record<string, unknown>>;

/** A claim does not hold what the configuration says of it. The message names it, and not what it holds. */
export class ClaimError extends Error {
  override readonly name = 'ClaimError';
}

/**
 * Who the verified claims of a token speak of.
 *
 * @param at when the token was checked, in milliseconds since the epoch.
 * @throws ClaimError when they let nobody in.
 */
export function identityOf(config: TokenIssuer, claims: Claims, at: number): Identity {
  // OpenID Connect Back-Channel Logout 1.0 §2.4: such a token ends a session, whatever its `typ` says.
  if (claims.events !== undefined) throw new ClaimError('the token tells of an event');
  const name = nameIn(config, claims);
  const globs = globsIn(config, claims);
  return {
    issuer: config.issuer,
    user: {
      id: tokenUserId(config.issuer, name),
      name,
      role: roleIn(config, claims),
      createdAt: new Date(at).toISOString(),
      keys: [],
      ...(globs && { models: { allow: globs } }),
    },
  };
}

/**
 * The id of somebody of an issuer: always the same, and in a form that no stored user's has. Names that differ in case
 * alone are one name, as they are for stored users.
 */
export function tokenUserId(issuer: string, name: string): string {
  const digest = hash('sha256', `${Buffer.byteLength(issuer)}:${issuer}${name.toLowerCase()}`, 'base64url');
  return `token:${digest.slice(0, 22)}`;
}

/** The claim of this name, or the one that it leads to by dots, such as Keycloak's `realm_access.roles`. */
export function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Claims)[part];
  }
  return value;
}

function nameIn({ claims: { user = 'sub' } = {} }: TokenIssuer, claims: Claims): string {
  const name = claimOf(claims, user);
  if (typeof name !== 'string' || userNameProblem(name) !== undefined) {
    throw new ClaimError(`the claim ${user} is no user name`);
  }
  const verified = claimOf(claims, 'email_verified');
  // Some providers write it as a string.
  if (user === 'email' && verified !== undefined && !/^true$/i.test(String(verified))) {
    throw new ClaimError('the claim email is of an address that was not verified');
  }
  return name;
}

const oneOrMore = z.union([z.string(), z.array(z.string())]);

/** Claims that list words in one text: RFC 8693 §4.2, and what Microsoft and Okta make of it. */
const ofWords = /(^|\.)(scope|scp)$/;

/** What a claim lists: an array, or one text. Undefined when the token does not have it. */
function listIn(claims: Claims, name: string, isOfWords = ofWords.test(name)): readonly string[] | undefined {
  const value = claimOf(claims, name);
  if (value === undefined) return undefined;
  const { success, data } = oneOrMore.safeParse(value);
  if (!success) throw new ClaimError(`the claim ${name} is neither a text nor a list of texts`);
  if (typeof data !== 'string') return data;
  return isOfWords ? data.split(' ').filter(Boolean) : [data];
}

function roleIn({ claims: { role } = {}, roles = {}, defaultRole }: TokenIssuer, claims: Claims): string {
  const held = role === undefined ? undefined : listIn(claims, role);
  const named = Object.entries(roles).find(([value]) => held?.includes(value));
  const found = named?.[1] ?? defaultRole;
  if (found === undefined) throw new ClaimError('no role is configured for what the token holds');
  return found;
}

function globsIn({ claims: { models } = {} }: TokenIssuer, claims: Claims): string[] | undefined {
  // No glob has a space.
  const held = models === undefined ? undefined : listIn(claims, models, true);
  if (held === undefined) return undefined;
  const { success, data } = z.array(modelGlob).check(z.maxLength(maxGlobs)).safeParse(held);
  if (!success) throw new ClaimError(`the claim ${models} does not list at most ${maxGlobs} models`);
  return data;
}
