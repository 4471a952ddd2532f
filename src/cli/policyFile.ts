import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { type PolicyDocument, parsePolicy } from '../guard/policy/policyDocument.ts';
import { dataUnavailable } from './dataFolder.ts';
import { followFile } from './followFile.ts';
import { JsonTextError, jsonPlaces, placeOf } from './jsonPlaces.ts';

/** Editors take a file away, or empty it, before they write it anew; this is what they get for that, in milliseconds. */
const settleMs = 200;

/** A policy as its owner writes it by hand. */
export class PolicyFile {
  readonly path: string;
  /** The text that was read last, whatever it holds; undefined while there is no file. */
  #seen: string | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** The one of an existing data folder. */
  static in(folder: string): PolicyFile {
    return new PolicyFile(join(folder, 'policy.json'));
  }

  /**
   * What it says; undefined when there is no file, and the defaults hold.
   *
   * @throws GuardError `policy-invalid` with the place and the reason, `data-unavailable`.
   */
  async read(): Promise<PolicyDocument | undefined> {
    this.#seen = await this.#readText();
    return this.#seen === undefined ? undefined : policyIn(this.#seen, this.path);
  }

  /**
   * Tells of changes since it was read, within a second.
   *
   * @param onChange gets what `read` gives.
   * @param onProblem gets what `read` throws, once for each new text.
   * @returns ends the watch.
   */
  watch(onChange: (policy: PolicyDocument | undefined) => void, onProblem: (error: unknown) => void): () => void {
    const look = async () => {
      if ((await this.#readText()) === this.#seen) return;
      await sleep(settleMs, undefined, { ref: false });
      const before = this.#seen;
      const policy = await this.read();
      if (this.#seen !== before) onChange(policy);
    };
    return followFile(this.path, look, onProblem).end;
  }

  async #readText(): Promise<string | undefined> {
    try {
      return await readFile(this.path, 'utf8');
    } catch (error) {
      // A link whose target is away is not a policy that was taken back: nobody gets more than before for it.
      if (systemErrorCode(error) === 'ENOENT' && !(await isLink(this.path))) return undefined;
      // The link may have been made since.
      return await readFile(this.path, 'utf8').catch((again: unknown) => {
        throw dataUnavailable(this.path, again);
      });
    }
  }
}

async function isLink(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isSymbolicLink() ?? false;
}

/**
 * Has a guard follow the policy of a file, and says what comes of each change: one that is not valid changes nothing, and
 * without a file the defaults hold.
 *
 * @returns ends it.
 */
export function followPolicy(
  file: PolicyFile,
  setPolicy: (policy: PolicyDocument) => void,
  say: (message: string) => void,
): () => void {
  return file.watch(
    (policy) => {
      setPolicy(policy ?? {});
      say(
        policy === undefined
          ? `${file.path} is gone. The default policy holds from now on.`
          : `The policy in ${file.path} has changed, and holds from now on.`,
      );
    },
    (error) => say(`${(error as Error).message} The policy stays as it was.`),
  );
}

/**
 * Reads a policy that is JSON text.
 *
 * @param source what the file holds.
 * @param path where it is, for the words.
 * @throws GuardError `policy-invalid`, with line and column.
 */
export function policyIn(source: string, path: string): PolicyDocument {
  // Some editors begin a file with a byte order mark.
  const text = source.replace(/^\uFEFF/, '');
  try {
    return parsed(text);
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    throw new GuardError('policy-invalid', '{path}, line {line}, column {column}: {reason}', {
      args: { path, ...placeOf(text, error.offset), reason: error.message },
      cause: error,
    });
  }
}

function parsed(text: string): PolicyDocument {
  const places = jsonPlaces(text);
  try {
    return parsePolicy(JSON.parse(text));
  } catch (error) {
    if (!GuardError.is(error, 'policy-invalid')) throw error;
    throw new JsonTextError(error.message, offsetOf(places, String(error.detail.args.place)));
  }
}

/** Where something is in the text, or what it is missing from. */
function offsetOf(places: ReadonlyMap<string, number>, path: string): number {
  for (let way = path; way !== ''; way = way.slice(0, Math.max(0, way.lastIndexOf('.')))) {
    const offset = places.get(way);
    if (offset !== undefined) return offset;
  }
  return 0;
}
