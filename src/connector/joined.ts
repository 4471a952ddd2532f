import * as z from 'zod/mini';
import type { Message } from '../guard/message.ts';

const origin = z.string().check(
  z.maxLength(300),
  z.refine((value) => URL.parse(value)?.origin === value && /^https?:/.test(value), 'is not an address'),
);

const joined = z.strictObject({
  /** The id of the invite it came of. */
  id: z.string().check(z.regex(/^[a-z2-9]{10}$/, 'is not an id')),
  /** Whom the endpoint knows this computer as. */
  user: z.string().check(z.minLength(1), z.maxLength(64)),
  /** Where the endpoint is reached, best first. */
  addresses: z.array(origin).check(z.minLength(1), z.maxLength(16)),
  /** The one certificate authority that is trusted, in PEM; every one the system trusts when left out. */
  ca: z.optional(z.string().check(z.regex(/^-----BEGIN CERTIFICATE-----/), z.maxLength(16_384))),
  apiKey: z.string().check(z.regex(/^og_[a-z2-9]{10}_[A-Za-z0-9_-]{43}$/, 'is not an API key')),
  /** Where it is reached on this computer; it never changes by itself. */
  port: z.int().check(z.gte(0), z.lte(65_535)),
});

/** An endpoint of somebody else that was joined, with its secret. */
export type Joined = Readonly<z.output<typeof joined>>;

/** Checks what was stored. Strict, so that nothing is lost when it is written again; see identity/users.ts. */
export const joinedList = z.array(joined);

/** The first joined endpoint gets this port, the next one the next that is free: 11434 is Ollama's, 11435 the guard's. */
const firstPort = 11_436;
const triedPorts = 100;

/** Ports that no joined endpoint has, in the order in which a new one tries them; never none. */
export function portsBeside(joined: readonly Pick<Joined, 'port'>[]): readonly [number, ...number[]] {
  const taken = new Set(joined.map(({ port }) => port));
  const all = Array.from({ length: taken.size + triedPorts }, (_, i) => firstPort + i);
  return all.filter((port) => !taken.has(port)) as [number, ...number[]];
}

/** How a connector gets on with the endpoint it stands for. */
export type Link =
  /** Nothing was asked for yet, or the last answer was the endpoint's. */
  | { readonly status: 'open' }
  /** It cannot be reached, does not let this computer in any more, or is not who it was; in words. */
  | { readonly status: 'broken'; readonly message: Message };

/** A joined endpoint as everybody may see it: no secret. */
export interface JoinedEndpoint {
  readonly id: string;
  readonly user: string;
  readonly addresses: readonly string[];
  /** Where it is reached on this computer, such as `http://127.0.0.1:11436`; undefined while nothing listens there. */
  readonly url: string | undefined;
  readonly link: Link;
}
