import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  type webcrypto,
  X509Certificate,
} from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  id_ce_nameConstraints,
  NameConstraints,
} from '@peculiar/asn1-x509';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  X509Certificate as IssuerCertificate,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { createId } from '../identity/apiKey.ts';
import { type AuthorityRecord, authorityText, readAuthorityRecord } from './authorityRecord.ts';
import { type Certificate, type TrustAnchor, trustAnchor } from './certificate.ts';
import { dnsNameOf, type Names } from './names.ts';
import type { Vault } from './vault.ts';

/** A certificate authority that vouches for the endpoints of one installation. */
export interface Authority {
  readonly anchor: TrustAnchor;
  /** When it runs out, in milliseconds since the epoch. */
  readonly endsAt: number;
  /** Whether a certificate of it may name this; one that names more is refused as a whole. */
  permits(dnsName: string): boolean;
  /**
   * Makes a certificate for the endpoint. Its key is the same as long as the authority lives.
   *
   * @param names DNS names that it permits, and addresses.
   * @param now milliseconds since the epoch.
   */
  issue(names: Names, now: number): Promise<Certificate>;
}

/** What an authority is made for. */
export interface AuthorityOptions {
  readonly hostName: string;
  /** Names the owner configured. */
  readonly allowedHosts: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const authorityLifeMs = 5 * 365 * dayMs;
/** Not when it is made: a clock that is ahead then, and set right later, would make it one of the future for good. */
const authorityBeginsAt = new Date(Date.UTC(2020, 0, 1));
const leafLifeMs = 90 * dayMs;
/** An authority with less than this left is replaced. */
const replacedBeforeMs = dayMs;
/** Clocks of clients may be behind. */
const clockSkewMs = hourMs;

/** The longest common name, in characters: RFC 5280, ub-common-name. */
const maxCommonName = 64;

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Whether an authority is to be replaced by a new one. */
export function isEnding({ endsAt }: Pick<Authority, 'endsAt'>, now: number): boolean {
  return endsAt - now < replacedBeforeMs;
}

/**
 * The authority of this installation: the stored one, or a new one when there is none or it runs out within a day. The
 * one before is kept: a clock that was years ahead for a moment must not cost the trust of every teammate.
 *
 * @throws GuardError `data-damaged`, and what the vault throws. What is stored is left as it is.
 */
export async function loadAuthority(vault: Vault, options: AuthorityOptions): Promise<Authority> {
  const previous = await readAuthorityRecord(vault);
  const before = await usableRecord(vault, options.now);
  if (before !== undefined) {
    if (before.certificate !== previous?.certificate) await vault.write('authority', authorityText(before));
    return openAuthority(before);
  }
  const made = await createRecord(options, previous);
  // Another process may have made one as well: whoever stored first wins, and what is stored counts for all.
  if ((await usableRecord(vault, options.now)) === undefined) await vault.write('authority', authorityText(made));
  return openAuthority((await readAuthorityRecord(vault)) ?? made);
}

async function usableRecord(vault: Vault, now: number): Promise<AuthorityRecord | undefined> {
  const record = await readAuthorityRecord(vault);
  const { previous } = record ?? {};
  // The older one first: teammates trust it.
  return [previous && { version: record?.version ?? 1, ...previous }, record].find((one) => {
    return one !== undefined && !isEnding({ endsAt: new X509Certificate(one.certificate).validToDate.getTime() }, now);
  });
}

async function createRecord(
  { hostName, allowedHosts, now }: AuthorityOptions,
  previous: AuthorityRecord | undefined,
): Promise<AuthorityRecord> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', ecdsa);
  const name = [{ CN: [commonName(hostName)] }];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: name,
    issuer: name,
    notBefore: authorityBeginsAt,
    notAfter: wholeSeconds(now + authorityLifeMs),
    publicKey: spki(publicKey),
    signingKey: signingKey(privateKey),
    signingAlgorithm: ecdsa,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      // Not a constraint by RFC 5280, but OpenSSL, Windows and browsers take it for one: it signs no mail and no code.
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      nameConstraints(hostName, allowedHosts),
      await SubjectKeyIdentifierExtension.create(spki(publicKey)),
    ],
  });
  return {
    version: 1,
    ...{ certificate: certificate.toString('pem'), key: pkcs8(privateKey), leafKey: pkcs8(newKey()) },
    ...(previous && {
      previous: { certificate: previous.certificate, key: previous.key, leafKey: previous.leafKey },
    }),
  };
}

function openAuthority({ certificate, key, leafKey }: AuthorityRecord): Authority {
  const issuer = new IssuerCertificate(certificate);
  const signing = signingKey(createPrivateKey(key));
  const leafSpki = spki(createPublicKey(leafKey));
  const { permitted, excluded } = dnsConstraintsOf(issuer);
  return {
    anchor: trustAnchor(new X509Certificate(certificate)),
    endsAt: issuer.notAfter.getTime(),
    permits: (name) => permitted.some((base) => isWithin(name, base)) && !excluded.some((base) => isWithin(name, base)),
    issue: async ({ dns, addresses }, now) => {
      const leaf = await X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject: [{ CN: ['Ollama Guard'] }],
        issuer: issuer.subjectName,
        notBefore: wholeSeconds(now - clockSkewMs),
        notAfter: wholeSeconds(Math.min(now + leafLifeMs, issuer.notAfter.getTime())),
        publicKey: leafSpki,
        signingKey: signing,
        signingAlgorithm: ecdsa,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
          new SubjectAlternativeNameExtension([
            ...dns.map((value) => ({ type: 'dns' as const, value })),
            ...addresses.map((value) => ({ type: 'ip' as const, value })),
          ]),
          await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
          await SubjectKeyIdentifierExtension.create(leafSpki),
        ],
      });
      // The authority goes along: whoever was given its fingerprint alone takes it from the handshake.
      return { chain: `${leaf.toString('pem')}\n${certificate}\n`, key: leafKey };
    },
  };
}

/** Several authorities of a team are told apart by it. */
function commonName(hostName: string): string {
  const id = ` (${createId()})`;
  return `Ollama Guard on ${hostName}`.slice(0, maxCommonName - id.length) + id;
}

/**
 * What the authority may vouch for: names of this computer and of its network, names the owner configured, and
 * addresses. A teammate who trusts it must not have to fear that it, or whoever steals its key, vouches for web sites.
 * Addresses are not narrowed down, because computers roam.
 *
 * RFC 5280 §4.2.1.10; every verifier in use heeds it when it is critical, also where it is in a root.
 */
function nameConstraints(hostName: string, allowedHosts: readonly string[]): Extension {
  const names = [hostName, ...allowedHosts].map(dnsNameOf).filter((name) => name !== undefined);
  const wanted = [...new Set(['localhost', 'local', ...names])];
  const permitted = wanted.filter(
    (name) => !mayBeTopLevel(name) || !wanted.some((other) => isWithin(other, `.${name}`)),
  );
  const excluded = permitted.filter(mayBeTopLevel).map((name) => `.${name}`);
  const constraints = new NameConstraints({
    permittedSubtrees: subtrees([
      ...permitted.map((dNSName) => ({ dNSName })),
      ...['0.0.0.0/0', '::/0'].map((iPAddress) => ({ iPAddress })),
    ]),
    ...(excluded.length > 0 && { excludedSubtrees: subtrees(excluded.map((dNSName) => ({ dNSName }))) }),
  });
  return new Extension(id_ce_nameConstraints, true, AsnConvert.serialize(constraints));
}

/**
 * Whether a name may be a top-level domain as well: computers are called `dev` or `studio`, and what is below a
 * permitted name is permitted. That is excluded then, by a name with a dot in front, which the name itself is not
 * within: verifiers agree on that for DNS names, though RFC 5280 has it for other kinds alone.
 *
 * `localhost` and `local` are nobody's on the Internet: RFC 6761 §6.3, RFC 6762 §3.
 */
function mayBeTopLevel(name: string): boolean {
  return /^([a-z]+|xn--[a-z0-9-]+)$/.test(name) && name !== 'localhost' && name !== 'local';
}

function subtrees(names: readonly Partial<GeneralName>[]): GeneralSubtrees {
  return new GeneralSubtrees(names.map((name) => new GeneralSubtree({ base: new GeneralName(name) })));
}

function dnsConstraintsOf(certificate: IssuerCertificate) {
  const extension = certificate.getExtension(id_ce_nameConstraints);
  const constraints = extension && AsnConvert.parse(extension.value, NameConstraints);
  const dnsNamesIn = (trees: GeneralSubtrees | undefined) =>
    (trees ?? []).map(({ base }) => base.dNSName).filter((name) => name !== undefined);
  return { permitted: dnsNamesIn(constraints?.permittedSubtrees), excluded: dnsNamesIn(constraints?.excludedSubtrees) };
}

/** @param base a name that it may be or be below; with a dot in front, below alone. */
function isWithin(name: string, base: string): boolean {
  return name === base || name.endsWith(base.startsWith('.') ? base : `.${base}`);
}

/** 16 random bytes, of which the first is neither negative nor zero: RFC 5280 §4.1.2.2. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function wholeSeconds(time: number): Date {
  return new Date(Math.floor(time / 1_000) * 1_000);
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', ecdsa).privateKey;
}

function signingKey(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(ecdsa, false, ['sign']);
}

function spki(key: KeyObject): Buffer<ArrayBuffer> {
  return key.export({ type: 'spki', format: 'der' }) as Buffer<ArrayBuffer>;
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}
