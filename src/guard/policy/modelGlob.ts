import { defaultHost, defaultNamespace, type ModelName, pathOf } from './modelName.ts';

/**
 * Whether a glob matches the whole of a text: `*` stands for any text, `?` for one character. Only the last star is ever
 * tried again, so it takes at most as many steps as the product of both lengths.
 */
export function globMatches(glob: string, text: string): boolean {
  let at = 0;
  let matched = 0;
  /** The place behind the last star, and how much of the text it has taken. */
  let behindStar = -1;
  let taken = 0;
  while (matched < text.length) {
    if (glob[at] === '*') {
      at += 1;
      behindStar = at;
      taken = matched;
    } else if (glob[at] === '?' || glob[at] === text[matched]) {
      at += 1;
      matched += 1;
    } else if (behindStar !== -1) {
      at = behindStar;
      taken += 1;
      matched = taken;
    } else {
      return false;
    }
  }
  while (glob[at] === '*') at += 1;
  return at === glob.length;
}

/** The parts of a glob that go without saying in a name, and the rest. */
const parts = /^(registry\.ollama\.ai\/)?(library\/)?(.+)$/;

/**
 * Whether a glob names a model. It is held against the name as `/api/tags` shows it, in any letter case, and against a
 * model of ollama.com in every form of that; one that names no tag means all of them. A glob that begins with Ollama's
 * own registry or namespace speaks of that alone: `library/*` is not `*`.
 */
export function namesModel(glob: string, name: ModelName): boolean {
  const [, home, library, rest] = parts.exec(glob.toLowerCase()) ?? [];
  if (rest === undefined) return false;
  if ((home ?? library) !== undefined && name.host !== defaultHost) return false;
  if (library !== undefined && name.namespace !== defaultNamespace) return false;
  const tagged = rest.lastIndexOf(':') > rest.lastIndexOf('/');
  return formsOf(name, tagged).some((form) => globMatches(rest, form));
}

function formsOf(name: ModelName, tagged: boolean): readonly string[] {
  const path = pathOf(name);
  const plain = `${path}:${name.tag}`;
  const cloud = name.cloud ? [name.short, `${plain}-cloud`, `${plain}:cloud`] : [];
  return [plain, ...cloud, ...(tagged ? [] : [path])];
}
