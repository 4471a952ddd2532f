import type { RefusalCode } from '../answers.ts';

/** What an upstream error code means for the caller; anything else is a broken-off connection. */
const codes: Readonly<Record<string, RefusalCode>> = {
  ECONNREFUSED: 'upstream-down',
  ENOTFOUND: 'upstream-down',
  EAI_AGAIN: 'upstream-down',
  EHOSTUNREACH: 'upstream-down',
  ENETUNREACH: 'upstream-down',
  ETIMEDOUT: 'upstream-timeout',
};

/** The refusal for a failed upstream request, by the system error's code. */
export function upstreamRefusal(code: string | undefined): RefusalCode {
  return codes[code ?? ''] ?? 'upstream-failed';
}
