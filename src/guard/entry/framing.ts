import type { RefusalCode } from '../answers.ts';

/** Headers that decide where a message ends, where it goes and whose it is: never twice. */
const single = new Set([
  'host',
  'authorization',
  'x-api-key',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'origin',
  'expect',
]);

/**
 * Refuses messages that two parsers could read differently, or that name a host or a credential twice (RFC 9112 §6.3,
 * §11.2; CVE-2026-29057). Node's parser runs in its strict mode before this; it drops duplicates silently, hence the
 * look at the raw headers.
 *
 * @param rawHeaders names and values in turn, as Node gives them.
 */
export function framingProblem(rawHeaders: readonly string[]): RefusalCode | undefined {
  let seen = '';
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    if (!single.has(name)) continue;
    if (seen.includes(`,${name},`)) return 'bad-request';
    seen += `,${name},`;
    const value = rawHeaders[i + 1] ?? '';
    if (name === 'transfer-encoding' && value.toLowerCase() !== 'chunked') return 'bad-request';
    if (name === 'content-length' && !/^\d{1,15}$/.test(value)) return 'bad-request';
    if (name === 'content-encoding' && value.toLowerCase() !== 'identity') return 'unsupported-encoding';
  }
  if (seen.includes(',content-length,') && seen.includes(',transfer-encoding,')) return 'bad-request';
  return seen.includes(',host,') ? undefined : 'bad-request';
}
