import { createPrivateKey } from 'node:crypto';
import * as z from 'zod/mini';
import { GuardError } from '../errors.ts';
import { type Certificate, certificatesIn } from './certificate.ts';
import type { Vault, VaultEntry } from './vault.ts';

/** The form that is written, and the only one that is read. */
const version = 1;

/** So many directories and domains are remembered, the last used first. */
const maxRemembered = 16;

const pemKey = z.string().check(z.refine(isPrivateKey));

const account = z.strictObject({
  directory: z.string(),
  email: z.optional(z.string()),
  key: pemKey,
  /** Where the directory keeps it; left out until the directory has said so. */
  url: z.optional(z.url()),
});

const certificate = z
  .strictObject({ directory: z.string(), domain: z.string(), chain: z.string(), key: pemKey })
  .check(z.refine(isPair));

/** An account at a directory, with its private key. */
export type Account = Readonly<z.output<typeof account>>;

/** A certificate from a directory, with its private key. */
export type StoredCertificate = Readonly<z.output<typeof certificate>>;

/** Accounts in a vault, one for each directory. */
export const accounts = storeOf('acme-account', account);

/** Certificates in a vault, one for each directory and domain, so that going back to one asks for nothing. */
export const certificates = storeOf('acme-certificate', certificate);

/** What tells the items of an entry apart. */
interface Place {
  readonly directory: string;
  readonly domain?: string;
}

/** One entry of the vault that holds a list, the last written first. */
function storeOf<Item extends Place>(entry: VaultEntry, item: z.ZodMiniType<Item>) {
  const file = z.strictObject({ version: z.literal(version), items: z.array(item) });

  const readAll = async (vault: Vault): Promise<readonly Item[]> => {
    const text = await vault.read(entry);
    if (text === undefined) return [];
    const stored = file.safeParse(parseJson(text));
    if (stored.success) return stored.data.items;
    // Without the cause, which could show what stands there.
    throw new GuardError(
      'data-damaged',
      'What is stored as {entry} is damaged. It was left as it is: mend it, or remove it to begin anew.',
      { args: { entry } },
    );
  };

  return {
    /** @throws GuardError `data-damaged`, `data-unavailable`. */
    find: async (vault: Vault, place: Place): Promise<Item | undefined> =>
      (await readAll(vault)).find((other) => isSame(place, other)),
    /** @throws GuardError `data-damaged`, `data-unavailable`; what is stored is left alone then. */
    save: async (vault: Vault, saved: Item): Promise<void> => {
      const others = (await readAll(vault)).filter((other) => !isSame(saved, other));
      const items = [saved, ...others].slice(0, maxRemembered);
      await vault.write(entry, JSON.stringify({ version, items }));
    },
  };
}

function isSame(one: Place, other: Place): boolean {
  return one.directory === other.directory && one.domain === other.domain;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isPrivateKey(pem: string): boolean {
  try {
    createPrivateKey(pem);
    return true;
  } catch {
    return false;
  }
}

/** Whether a chain begins with the certificate of a key. */
export function isPair({ chain, key }: Certificate): boolean {
  try {
    return certificatesIn(chain)[0]?.checkPrivateKey(createPrivateKey(key)) === true;
  } catch {
    return false;
  }
}
