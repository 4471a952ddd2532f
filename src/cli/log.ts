import type { GuardEvent } from '../guard/usage/events.ts';

/** How `serve` writes its log: for people or for programs. */
export type LogFormat = 'pretty' | 'json';

/** One line for something that the command line itself has to tell while a guard runs. */
export function formatNote(message: string, format: LogFormat, at: Date = new Date()): string {
  return format === 'json'
    ? JSON.stringify({ time: at.toISOString(), type: 'note', message })
    : `${at.toISOString()} ${message}`;
}

/** One line for an event. Events hold no secret, so neither does the line. */
export function formatEvent(event: GuardEvent, format: LogFormat, at: Date = new Date()): string {
  if (format === 'json') return JSON.stringify({ time: at.toISOString(), ...event });
  return `${at.toISOString()} ${words(event)}`;
}

function words(event: GuardEvent): string {
  switch (event.type) {
    case 'request': {
      const { method, path, status, user, address, milliseconds, complete } = event;
      return `${status ?? '-'} ${method} ${path} ${user ?? '-'} ${address} ${milliseconds} ms${complete ? '' : ' (cut off)'}`;
    }
    case 'sign-in-failed':
      return `sign-in failed from ${event.address}: ${event.reason}`;
    case 'invite-redeemed':
      return `invite of ${event.user} used from ${event.address}: API key ${event.keyId}`;
    case 'error':
      return `error: ${event.message}`;
  }
}
