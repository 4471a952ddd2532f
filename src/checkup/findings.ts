import { isLoopback } from '../guard/config.ts';
import type { Message, MessageArguments } from '../guard/message.ts';
import { lackingFixes } from './advisories.ts';
import type { Facts, UserFacts } from './facts.ts';

/** Every check; docs/check.md has a section for each. */
export type FindingId =
  | 'ollama-answers'
  | 'ollama-exposed'
  | 'ollama-origins'
  | 'ollama-version'
  | 'cloud-account'
  | 'guard-unencrypted'
  | 'stale-users'
  | 'secret-storage';

/** Worst first. A `hint` is worth a look, or could not be checked. */
const severities = ['danger', 'warning', 'hint', 'ok'] as const;

export type Severity = (typeof severities)[number];

/** What the owner can be offered to do about a finding. */
export type Remedy =
  /** The section of docs/check.md. */
  | { readonly kind: 'explain'; readonly topic: FindingId }
  /** A setting of the guard. */
  | { readonly kind: 'setting'; readonly name: 'tls' | 'upstream' }
  | { readonly kind: 'command'; readonly id: 'stopSharing' }
  /** The argument is a user's name. */
  | { readonly kind: 'command'; readonly id: 'showUser'; readonly argument: string };

/** The outcome of one check. */
export interface Finding {
  readonly id: FindingId;
  readonly severity: Severity;
  readonly title: Message;
  /** What it means, and what to do. */
  readonly detail: Message;
  readonly remedy: Remedy;
}

interface Words {
  readonly title: Message;
  readonly detail: Message;
}

interface Problem extends Words {
  readonly severity: Exclude<Severity, 'ok'>;
  /** The section of docs/check.md when left out. */
  readonly remedy?: Remedy;
}

interface Check {
  readonly id: FindingId;
  /** What is wrong, or that it could not be checked; undefined when all is well. */
  readonly problem: (facts: Facts) => Problem | undefined;
  readonly fine: (facts: Facts) => Words;
}

/** Names shown before "and N more". */
const maxNames = 5;
const staleAfterMs = 30 * 86_400_000;

const checks: readonly Check[] = [
  {
    id: 'ollama-answers',
    problem: ({ ollama: { answers, upstream, listeners } }) => {
      if (answers) return undefined;
      const program = listeners.find((listener) => listener.program !== undefined)?.program;
      return {
        severity: 'warning',
        title: say('Ollama does not answer'),
        detail:
          program === undefined
            ? say('No Ollama answered at {upstream}. Start it, or set the address that it listens on.', { upstream })
            : say('{program} listens at {upstream} but does not answer as Ollama would. Set the address of Ollama.', {
                program,
                upstream,
              }),
        remedy: { kind: 'setting', name: 'upstream' },
      };
    },
    fine: ({ ollama: { upstream } }) => ({
      title: say('Ollama answers'),
      detail: say('It is at {upstream}.', { upstream }),
    }),
  },
  {
    id: 'ollama-exposed',
    problem: ({ ollama, listensEverywhere }) => {
      if (!ollama.local) {
        return {
          severity: 'warning',
          title: say('Ollama is on another computer'),
          detail: say(
            'Whoever can reach {upstream} can use it without Ollama Guard. Run the guard over there, or let a firewall admit this computer alone.',
            { upstream: ollama.upstream },
          ),
        };
      }
      const open = ollama.listeners.map(({ address }) => address).filter((address) => !isLoopback(address));
      if (open.length > 0) {
        return {
          severity: 'danger',
          title: say('Ollama can be reached past Ollama Guard'),
          detail: listed(
            open,
            'It listens on {names}, where it asks nobody for a password. Make it listen on 127.0.0.1 alone.',
            'It listens on {names} and {more} more addresses, where it asks nobody for a password. Make it listen on 127.0.0.1 alone.',
          ),
        };
      }
      if (listensEverywhere) {
        return {
          severity: 'warning',
          title: say('OLLAMA_HOST opens Ollama to the network'),
          detail: say(
            'An Ollama that is started in the environment of VS Code listens on every address, without a password. Remove the variable or set it to 127.0.0.1.',
          ),
        };
      }
      if (ollama.listeners.length > 0) return undefined;
      return unchecked(
        say('Who can reach Ollama is not known'),
        say('This computer does not tell which addresses Ollama listens on. It should be 127.0.0.1 alone.'),
      );
    },
    fine: () => ({
      title: say('Only this computer reaches Ollama'),
      detail: say('It listens on loopback addresses alone, so teammates have to come through Ollama Guard.'),
    }),
  },
  {
    id: 'ollama-origins',
    problem: ({ ollama: { webPages } }) => {
      if (webPages === 'refused') return undefined;
      if (webPages === 'unknown') return unchecked(say('Whether web pages can use Ollama is not known'));
      return {
        severity: 'danger',
        title: say('Any web page can use Ollama'),
        detail: say(
          'Ollama answers pages of every origin, so a page that is open in a browser on its computer can use and delete models. Remove * from OLLAMA_ORIGINS.',
        ),
      };
    },
    fine: () => ({
      title: say('Web pages cannot use Ollama'),
      detail: say('It refuses pages of foreign origins.'),
    }),
  },
  {
    id: 'ollama-version',
    problem: ({ ollama: { version } }) => {
      if (version === undefined) return unchecked(say('The version of Ollama is not known'));
      const lacking = lackingFixes(version);
      const newest = lacking?.at(-1);
      if (lacking === undefined) {
        return unchecked(
          say('The version of Ollama is not known'),
          say('It calls itself {version}, which does not tell what has been fixed in it.', { version }),
        );
      }
      if (newest === undefined) return undefined;
      return {
        severity: 'warning',
        title: say('Ollama {version} lacks security fixes', { version }),
        detail: say('Update it to {fixedIn} or later. What it lacks: {ids}.', {
          fixedIn: newest.fixedIn,
          ids: lacking.map(({ id }) => id).join(', '),
        }),
      };
    },
    fine: ({ ollama: { version } }) => ({
      title: say('Ollama {version} has the known security fixes', { version: version ?? '' }),
      detail: say('Keep it up to date: this list is as old as Ollama Guard.'),
    }),
  },
  {
    id: 'cloud-account',
    problem: ({ ollama: { answers, cloud, account, cloudModels } }) => {
      if (!answers) return unchecked(say('Whether Ollama is signed in to ollama.com is not known'));
      if (cloud === 'off' || account === 'signed-out') return undefined;
      if (cloudModels.length > 0) {
        return {
          severity: 'warning',
          title: say('Teammates can use your account at ollama.com'),
          detail: listed(
            cloudModels.map(nameToShow),
            '{names} would run there and count on the account that Ollama is signed in to. Remove cloud models, sign out, or switch the cloud off in Ollama.',
            '{names} and {more} more models would run there and count on the account that Ollama is signed in to. Remove cloud models, sign out, or switch the cloud off in Ollama.',
          ),
        };
      }
      if (account === 'unknown') return unchecked(say('Whether Ollama is signed in to ollama.com is not known'));
      return {
        severity: 'hint',
        title: say('Ollama is signed in to ollama.com'),
        detail: say(
          'No cloud model is installed, but requests can name one all the same. Sign out, or switch the cloud off in Ollama, if teammates are not to use your account.',
        ),
      };
    },
    fine: ({ ollama: { cloud } }) => ({
      title: say('Teammates cannot use an account at ollama.com'),
      detail: cloud === 'off' ? say('The cloud is switched off in Ollama.') : say('Ollama is not signed in.'),
    }),
  },
  {
    id: 'guard-unencrypted',
    problem: ({ guard: { url, sharingUrl } }) => {
      if (sharingUrl !== undefined && isInTheClear(sharingUrl)) {
        return inTheClear(sharingUrl, { kind: 'command', id: 'stopSharing' });
      }
      if (url !== undefined && isInTheClear(url)) return inTheClear(url, { kind: 'setting', name: 'tls' });
      return undefined;
    },
    fine: () => ({
      title: say('Nothing crosses the network unencrypted'),
      detail: say('Ollama Guard is not reached over plain HTTP from other computers.'),
    }),
  },
  {
    id: 'stale-users',
    problem: ({ users, now }) => {
      const names = users.filter((user) => isStale(user, now)).map(({ name }) => name);
      const [first] = names;
      if (first === undefined) return undefined;
      return {
        severity: 'hint',
        title: say('Users who have not been seen for 30 days'),
        detail: listed(
          names,
          '{names}: let in for ever, and not there for a month. Remove them, switch them off, or let them expire.',
          '{names} and {more} more: let in for ever, and not there for a month. Remove them, switch them off, or let them expire.',
        ),
        remedy: { kind: 'command', id: 'showUser', argument: first },
      };
    },
    fine: () => ({
      title: say('No forgotten users'),
      detail: say('Everyone who is let in was there in the last 30 days, is new, or has a date of expiry.'),
    }),
  },
  {
    id: 'secret-storage',
    problem: ({ secretStorage, passwordStore }) => {
      if (secretStorage === 'memory') {
        return {
          severity: 'warning',
          title: say('Users are lost when VS Code closes'),
          detail: say(
            'VS Code found no keyring on this computer and holds secrets in memory alone. Set up a keyring, or choose a password store for VS Code.',
          ),
        };
      }
      if (passwordStore !== 'basic') return undefined;
      return {
        severity: 'hint',
        title: say('VS Code keeps secrets without a keyring'),
        detail: say(
          'Its password store is "basic", which whoever reads your files can decrypt. Ollama Guard stores hashes alone, but weak passwords can be guessed from those.',
        ),
      };
    },
    fine: () => ({
      title: say('Users are kept in the secret storage of VS Code'),
      detail: say('Hashes of passwords and keys are there, never the passwords and keys themselves.'),
    }),
  },
];

/** What the facts mean, worst first: one finding a check, those that found nothing wrong included. */
export function findings(facts: Facts): readonly Finding[] {
  const rank = ({ severity }: Finding): number => severities.indexOf(severity);
  return checks.map((check) => findingOf(check, facts)).toSorted((one, other) => rank(one) - rank(other));
}

function findingOf({ id, problem, fine }: Check, facts: Facts): Finding {
  const found = problem(facts);
  const explain: Remedy = { kind: 'explain', topic: id };
  if (found === undefined) return { id, severity: 'ok', ...fine(facts), remedy: explain };
  return { id, ...found, remedy: found.remedy ?? explain };
}

function say(text: string, args: MessageArguments = {}): Message {
  return { text, args };
}

/** A list of names in a sentence: all of them, or the first few and how many more. */
function listed(names: readonly string[], text: string, textWithMore: string): Message {
  const shown = names.slice(0, maxNames).join(', ');
  const more = names.length - maxNames;
  return more > 0 ? say(textWithMore, { names: shown, more }) : say(text, { names: shown });
}

function unchecked(title: Message, detail: Message = say('Ollama did not tell. Check again while it runs.')): Problem {
  return { severity: 'hint', title, detail };
}

/** Model names come from Ollama: nothing in them may look like markup. */
function nameToShow(name: string): string {
  return name.replace(/[^\w.:/@-]/g, '?').slice(0, 100);
}

function isInTheClear(url: string): boolean {
  const parsed = URL.parse(url);
  return parsed?.protocol !== 'https:' && !isLoopback(parsed?.hostname.replace(/^\[|\]$/g, '') ?? '');
}

function inTheClear(url: string, remedy: Remedy): Problem {
  return {
    severity: 'warning',
    title: say('Ollama Guard is shared without encryption'),
    detail: say(
      'What goes to and from {url} can be read and changed on its way, passwords and API keys too. Let Ollama Guard encrypt it, or share in networks that you trust alone.',
      { url },
    ),
    remedy,
  };
}

function isStale({ enabled, expires, createdAt, lastSeen }: UserFacts, now: number): boolean {
  return enabled && !expires && Math.max(createdAt, lastSeen ?? createdAt) < now - staleAfterMs;
}
