import { LRUCache } from 'lru-cache';
import { type ModelName, parseStoredName } from './modelName.ts';
import { type IsRemote, mayUse } from './models.ts';
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

/** The place of what is no name, which nobody may see. */
const noName = -1;

/** An entry of a list, its names by their places among those of the list. */
interface Item {
  readonly entry: Entry;
  readonly names: readonly number[];
  readonly remote: boolean;
  /** What the model was made from; undefined where the entry names nothing. */
  readonly parent: number | undefined;
}

/** A list as it was read, and what was made of it for whoever asked. */
class ModelList {
  /** As it came. */
  readonly body: Buffer;
  readonly member: ListMember;
  readonly list: unknown[] | null;
  readonly #answer: Entry;
  /** Each name once: an entry has most of its names twice. */
  readonly #names: ModelName[] = [];
  readonly #items: readonly Item[];
  /** For each of the names 1 where the rules allow it. */
  readonly #allowed = new WeakMap<Access, Uint8Array>();
  /** By what may be seen, because most users see the same. */
  readonly #answers = new LRUCache<string, Buffer>({ max: 8 });

  /** @throws Error when the body is not JSON of that shape. */
  constructor(member: ListMember, body: Buffer) {
    const answer: unknown = JSON.parse(body.toString());
    const list = isObject(answer) ? answer[member] : undefined;
    if (!isObject(answer) || (list !== null && !Array.isArray(list)))
      throw new Error(`the answer has no list ${member}`);
    this.body = body;
    this.member = member;
    this.list = list;
    this.#answer = answer;
    this.#items = this.#itemsOf(list ?? []);
  }

  /** The answer without the models that a user may not use, and without their names. */
  answerTo(access: Access, isRemote: IsRemote): Buffer {
    const visible = this.#visibleTo(access, isRemote);
    const key = Buffer.from(visible.buffer).toString('latin1');
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const answer = this.#answerWith(visible, access.cloud);
    this.#answers.set(key, answer);
    return answer;
  }

  #itemsOf(list: readonly unknown[]): readonly Item[] {
    const places = new Map<string, number>();
    const placeOf = (raw: string): number => {
      const known = places.get(raw);
      if (known !== undefined) return known;
      const name = parseStoredName(raw);
      const place = name === undefined ? noName : this.#names.push(name) - 1;
      places.set(raw, place);
      return place;
    };
    return list.flatMap((entry): readonly Item[] => {
      const listed = listedModel(this.member, entry);
      if (listed === undefined) return [];
      const parent = parentOf(entry as Entry);
      return [
        {
          entry: entry as Entry,
          names: listed.names.map(placeOf),
          remote: listed.remote,
          parent: saysSomething(parent) ? placeOf(String(parent)) : undefined,
        },
      ];
    });
  }

  /** For each of the names 1 where a user may use it; behind them, whether that goes for models that run elsewhere. */
  #visibleTo(access: Access, isRemote: IsRemote): Uint8Array {
    const visible = new Uint8Array(this.#names.length + 1);
    visible.set(this.#allowedTo(access));
    if (access.cloud) visible[this.#names.length] = 1;
    else {
      this.#names.forEach(({ short }, place) => {
        if (visible[place] === 1 && isRemote(short)) visible[place] = 0;
      });
    }
    return visible;
  }

  #allowedTo(access: Access): Uint8Array {
    const known = this.#allowed.get(access);
    if (known !== undefined) return known;
    const allowed = Uint8Array.from(this.#names, (name) => (mayUse(access, name) ? 1 : 0));
    this.#allowed.set(access, allowed);
    return allowed;
  }

  #answerWith(visible: Uint8Array, cloud: boolean): Buffer {
    const isVisible = (place: number): boolean => visible[place] === 1;
    const items = this.#items.filter(({ names, remote }) => (cloud || !remote) && names.every(isVisible));
    const isWhole = ({ parent }: Item): boolean => parent === undefined || isVisible(parent);
    if (items.length === (this.list ?? []).length && items.every(isWhole)) return this.body;
    const left = items.map((item) => (isWhole(item) ? item.entry : withoutParent(item.entry)));
    return Buffer.from(JSON.stringify({ ...this.#answer, [this.member]: left }));
  }
}

/** What a model was made from, as `/api/tags` and `/api/ps` tell it (api/types.go, `ModelDetails`). */
function parentOf({ details }: Entry): unknown {
  return isObject(details) ? details.parent_model : undefined;
}

/** As Ollama writes it where there is none. */
function withoutParent(entry: Entry): Entry {
  return { ...entry, details: { ...(entry.details as Entry), parent_model: '' } };
}

/** Those that were read last, the latest first: Ollama gives the same ones again and again. */
const recent: ModelList[] = [];
const maxRecent = 4;

/** @throws Error when it is not JSON of that shape. */
function modelList(member: ListMember, body: Buffer): ModelList {
  const at = recent.findIndex((list) => list.member === member && list.body.equals(body));
  const list = recent[at] ?? new ModelList(member, body);
  if (at !== -1) recent.splice(at, 1);
  recent.unshift(list);
  recent.length = Math.min(recent.length, maxRecent);
  return list;
}

/**
 * The list in an answer, which Go writes as null when there is nothing in it.
 *
 * @throws Error when it is not JSON of that shape.
 */
export function readList(member: ListMember, body: Buffer): Pick<ModelList, 'list'> {
  return modelList(member, body);
}

/**
 * Leaves the models out of a list that a user may not use (SEC-20), and those that are not understood. Everything else
 * in the answer stays, but for the names of such models where others tell what they were made from.
 *
 * @throws Error when it is not JSON of that shape.
 */
export function filterList(access: Access, member: ListMember, body: Buffer, isRemote: IsRemote): Buffer {
  return modelList(member, body).answerTo(access, isRemote);
}

/** Whether nothing in any list is hidden from a user, so that the answer can pass as it is. */
export function seesAll({ models, cloud }: Access): boolean {
  return cloud && models.deny.length === 0 && models.allow.globs.includes('*');
}
