import { type ClientContext, clients } from '../share/clients.ts';
import { type ShellId, shellIds, shells } from '../share/shell.ts';
import type { Offer } from './inviteDesk.ts';
import type { Page } from './pages.ts';

/** What a teammate gets for an invite, as JSON. */
interface JoinAnswer {
  readonly user: string;
  readonly role: string;
  readonly apiKey: string;
  /** When the key, or its user, stops working; left out when neither does. */
  readonly expiresAt?: string;
  readonly shells: readonly { readonly id: ShellId; readonly name: string }[];
  /** What to hand each program, the key filled in. */
  readonly clients: readonly {
    readonly id: string;
    readonly name: string;
    readonly usesShell: boolean;
    readonly note?: string;
    /** By shell: an invite is exchanged once, and its page lets one choose after that. */
    readonly text: Readonly<Record<ShellId, string>>;
  }[];
}

/** Writes what a teammate gets for an invite. */
export function joinAnswer(
  { user, key, apiKey }: Offer,
  endpoint: Pick<ClientContext, 'url' | 'model' | 'trust'>,
): Page {
  const context = { ...endpoint, user: user.name, apiKey };
  const expiresAt = [key.expiresAt, user.expiresAt]
    .filter((time) => time !== undefined)
    .sort((one, other) => Date.parse(one) - Date.parse(other))[0];
  const answer: JoinAnswer = {
    user: user.name,
    role: user.role,
    apiKey,
    ...(expiresAt !== undefined && { expiresAt }),
    shells: shellIds.map((id) => ({ id, name: shells[id].name })),
    clients: clients.map(({ id, name, usesShell, note, render }) => ({
      id,
      name,
      usesShell,
      ...(note !== undefined && { note }),
      text: Object.fromEntries(shellIds.map((shell) => [shell, render({ ...context, shell })])) as Record<
        ShellId,
        string
      >,
    })),
  };
  return { type: 'application/json; charset=utf-8', body: JSON.stringify(answer) };
}
