import { isIP } from 'node:net';
import * as z from 'zod/mini';
import { GuardError } from './errors.ts';
import { policyDocument } from './policy/policyDocument.ts';
import { tlsConfig } from './tls/tlsConfig.ts';

/** A number of bytes in one MiB. */
export const MiB = 1024 * 1024;

const hostName = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

const host = z.string().check(
  z.refine((value) => isIP(value) !== 0 || hostName.test(value), {
    error: 'must be an IP address or a host name, such as 127.0.0.1 or 0.0.0.0',
  }),
);

const upstream = z.string().check(
  z.refine(
    (value) => {
      const url = URL.parse(value);
      return (
        url !== null && /^https?:$/.test(url.protocol) && `${url.protocol}//${url.host}` === value.replace(/\/$/, '')
      );
    },
    { error: 'must be an address such as http://127.0.0.1:11434, without a path or credentials' },
  ),
);

const origin = z.string().check(
  z.refine((value) => /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s@*]+$/.test(value), {
    error: 'must be an origin such as https://chat.example.org, in lower case, without a path or a wildcard',
  }),
);

const milliseconds = z.int().check(z.positive());

/** What a guard is told when it starts. Every time is in milliseconds, every size in bytes. */
const guardConfig = z.strictObject({
  host,
  port: z.int().check(z.gte(0, 'must be from 0 to 65535'), z.lte(65_535, 'must be from 0 to 65535')),
  upstream,
  /** Host names beyond loopback, own addresses and own names. */
  allowedHosts: z._default(
    z.array(z.string().check(z.regex(hostName, 'must be host names such as gpu.example.org, without a port'))),
    [],
  ),
  /** Browser origins that may call; none by default. */
  allowedOrigins: z._default(z.array(origin), []),
  tls: z._default(tlsConfig, { mode: 'off' }),
  /** Whether programs on this computer may speak plain HTTP to an endpoint that encrypts. */
  plainOnLoopback: z._default(z.boolean(), false),
  maxBodyBytes: z._default(z.int().check(z.positive()), 64 * MiB),
  /** Who may do what, how much, and in what order; it is replaced while the guard runs. */
  policy: z._default(policyDocument, {}),
  /** Until the headers of a request are complete. */
  headersTimeoutMs: z._default(milliseconds, 10_000),
  /** Without a byte of a body that is still to come, or without the client taking a byte of an answer. */
  idleTimeoutMs: z._default(milliseconds, 60_000),
  /** Without a byte from Ollama: longer than any model takes to load. */
  upstreamIdleTimeoutMs: z._default(milliseconds, 15 * 60_000),
  upstreamConnectTimeoutMs: z._default(milliseconds, 10_000),
});

/** A guard's configuration, complete and checked. */
export type GuardConfig = Readonly<z.output<typeof guardConfig>>;

/** What a caller of `parseConfig` gives: host, port and upstream, and what differs from the defaults. */
export type GuardConfigInput = Readonly<z.input<typeof guardConfig>>;

/**
 * Checks a configuration and fills in its defaults.
 *
 * @throws GuardError `config-invalid`, naming the field and what it must be.
 */
export function parseConfig(input: unknown): GuardConfig {
  const result = guardConfig.safeParse(input);
  if (!result.success) {
    const [issue] = result.error.issues;
    const field = issue?.path.join('.') || 'configuration';
    throw new GuardError('config-invalid', '{field}: {problem}.', {
      args: { field, problem: issue?.message ?? 'is not valid' },
    });
  }
  const { data } = result;
  if (sameEndpoint(data)) {
    throw new GuardError('config-invalid', '{field}: {problem}.', {
      args: { field: 'upstream', problem: 'is the address the guard itself listens on; set it to Ollama' },
    });
  }
  return data;
}

/** Whether an address can be reached from this computer alone. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^(::ffff:)?127\./i.test(address);
}

/** `http://HOST:PORT` or `https://HOST:PORT`, with an IPv6 address in brackets. */
export function endpointUrl(address: string, port: number, scheme: 'http' | 'https' = 'http'): string {
  return `${scheme}://${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
}

/** What to write before an address of an endpoint of this configuration. */
export function schemeOf({ tls, plainOnLoopback }: GuardConfig, address: string): 'http' | 'https' {
  return tls.mode === 'off' || (plainOnLoopback && isLoopback(address)) ? 'http' : 'https';
}

function sameEndpoint({ host: address, port, upstream: target }: GuardConfig): boolean {
  const url = new URL(target);
  const upstreamHost = url.hostname.replace(/^\[|\]$/g, '');
  const upstreamPort = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const wildcard = address === '0.0.0.0' || address === '::';
  const named = address === 'localhost' || upstreamHost === 'localhost';
  const bothLoopback = isLoopback(upstreamHost) && (wildcard || (named && isLoopback(address)));
  return port === upstreamPort && (upstreamHost === address || bothLoopback);
}
