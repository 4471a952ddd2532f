import { isIP } from 'node:net';
import * as z from 'zod/mini';

/** Let's Encrypt's directory: https://letsencrypt.org/docs/acme-protocol-updates/ */
export const letsEncrypt = 'https://acme-v02.api.letsencrypt.org/directory';

const path = z.string().check(z.minLength(1, 'must be the path of a PEM file'));

const domain = z.string().check(
  z.toLowerCase(),
  z.refine(
    (value) =>
      isIP(value) === 0 &&
      /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$/.test(value),
    { error: 'must be a domain such as gpu.example.org' },
  ),
);

const directory = z.string().check(
  z.refine((value) => URL.parse(value)?.protocol === 'https:', {
    error: 'must be the https address of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory',
  }),
);

const acme = z.strictObject({
  mode: z.literal('acme'),
  domain,
  email: z.optional(z.email('must be an e-mail address')),
  directory: z._default(directory, letsEncrypt),
  /** A PEM file with the authority that the directory's own certificate is from, where the system does not know it. */
  directoryCa: z.optional(path),
  /** `tls-alpn-01` is answered by the endpoint itself, which is reached at port 443 then: RFC 8737. */
  challenge: z._default(z.enum(['tls-alpn-01', 'http-01']), 'tls-alpn-01'),
  /** Where `http-01` is answered; the directory asks at port 80. */
  httpPort: z._default(z.int().check(z.gte(1), z.lte(65_535)), 80),
  /** The id of an external account; its HMAC key is in the vault. */
  externalAccount: z.optional(z.string().check(z.minLength(1), z.maxLength(1_000))),
});

/** How an endpoint encrypts. */
export const tlsConfig = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('off') }),
  z.strictObject({ mode: z.literal('auto') }),
  z.strictObject({ mode: z.literal('files'), certificate: path, key: path }),
  acme,
]);

/** How an endpoint encrypts, complete and checked. */
export type TlsConfig = Readonly<z.output<typeof tlsConfig>>;

/** How an endpoint encrypts, of one mode. */
export type TlsConfigOf<Mode extends TlsConfig['mode']> = Extract<TlsConfig, { mode: Mode }>;
