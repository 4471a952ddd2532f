import { parseStoredName } from './modelName.ts';
import { askModel, decided, type IsRemote } from './models.ts';
import type { Access } from './policy.ts';

/** The member of an answer that is a list of models: of `/api/tags` and `/api/ps`, and of `/v1/models`. */
export type ListMember = 'models' | 'data';

/** A model as one of Ollama's lists tells of it. */
export interface ListedModel {
  /** Every name that its entry has, as they stand there; Ollama writes one twice. */
  readonly names: readonly string[];
  /** Whether it runs elsewhere, whatever its name says: `/api/tags` alone tells (api/types.go, `ListModelResponse`). */
  readonly remote: boolean;
}

const nameKeys: Readonly<Record<ListMember, readonly string[]>> = { models: ['name', 'model'], data: ['id'] };

type Entry = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Entry => typeof value === 'object' && value !== null;

const saysSomething = (value: unknown): boolean => value !== undefined && value !== null && value !== '';

/** What an entry of a list tells; undefined when it is not understood. */
export function listedModel(member: ListMember, entry: unknown): ListedModel | undefined {
  if (!isObject(entry)) return undefined;
  const names = nameKeys[member].map((key) => entry[key]).filter((name) => name !== undefined);
  if (names.length === 0 || !names.every((name) => typeof name === 'string')) return undefined;
  return { names, remote: saysSomething(entry.remote_host) || saysSomething(entry.remote_model) };
}

/**
 * An answer, and the list in it, which Go writes as null when there is nothing in it.
 *
 * @throws Error when it is not JSON of that shape.
 */
export function readList(
  member: ListMember,
  body: Buffer,
): { readonly answer: Entry; readonly list: unknown[] | null } {
  const answer: unknown = JSON.parse(body.toString());
  const list = isObject(answer) ? answer[member] : undefined;
  if (!isObject(answer) || (list !== null && !Array.isArray(list))) throw new Error(`the answer has no list ${member}`);
  return { answer, list };
}

/**
 * Leaves the models out of a list that a user may not use (SEC-20), and those that are not understood. Everything else
 * in the answer stays.
 *
 * @throws Error when it is not JSON of that shape.
 */
export function filterList(access: Access, member: ListMember, body: Buffer, isRemote: IsRemote): Buffer {
  const { answer, list } = readList(member, body);
  if (list === null) return body;
  return Buffer.from(
    JSON.stringify({
      ...answer,
      [member]: list.filter((entry) => mayUse(access, listedModel(member, entry), isRemote)),
    }),
  );
}

function mayUse(access: Access, listed: ListedModel | undefined, isRemote: IsRemote): boolean {
  if (listed === undefined) return false;
  const runsElsewhere = listed.remote ? () => true : isRemote;
  return listed.names.every((name) => decided(askModel(access, parseStoredName(name), runsElsewhere)).allowed);
}

/** Whether nothing in any list is hidden from a user, so that the answer can pass as it is. */
export function seesAll({ models, cloud }: Access): boolean {
  return cloud && models.deny.length === 0 && models.allow.globs.includes('*');
}
