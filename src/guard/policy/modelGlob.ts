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

/** A glob of models as it is held against names. */
interface ModelGlob {
  /** As it is written. */
  readonly glob: string;
  /** Without what goes without saying in a name, in lower case. */
  readonly rest: string;
  readonly tagged: boolean;
  /** Whether it speaks of Ollama's own registry alone, and of its own namespace there. */
  readonly ofHome: boolean;
  readonly ofLibrary: boolean;
}

/** The parts of a glob that go without saying in a name, and the rest. */
const parts = /^(registry\.ollama\.ai\/)?(library\/)?(.+)$/;

function parseGlob(glob: string): ModelGlob | undefined {
  const [, home, library, rest] = parts.exec(glob.toLowerCase()) ?? [];
  if (rest === undefined) return undefined;
  const tagged = rest.lastIndexOf(':') > rest.lastIndexOf('/');
  return { glob, rest, tagged, ofHome: (home ?? library) !== undefined, ofLibrary: library !== undefined };
}

/** Those of each list that was asked before: a policy and its users keep theirs, and every request asks them. */
const parsed = new WeakMap<readonly string[], readonly ModelGlob[]>();

function parseGlobs(globs: readonly string[]): readonly ModelGlob[] {
  const known = parsed.get(globs);
  if (known !== undefined) return known;
  const all = globs.map(parseGlob).filter((glob) => glob !== undefined);
  parsed.set(globs, all);
  return all;
}

/**
 * The first of these globs that names a model; undefined when none does. A glob is held against the name as `/api/tags`
 * shows it, in any letter case, and against a model of ollama.com in every form of that; one that names no tag means all
 * of them. A glob that begins with Ollama's own registry or namespace speaks of that alone: `library/*` is not `*`.
 */
export function globOf(globs: readonly string[], name: ModelName): string | undefined {
  const untagged = pathOf(name);
  const tagged = taggedForms(name, untagged);
  const names = ({ rest, tagged: isTagged, ofHome, ofLibrary }: ModelGlob): boolean => {
    if (ofHome && name.host !== defaultHost) return false;
    if (ofLibrary && name.namespace !== defaultNamespace) return false;
    return tagged.some((form) => globMatches(rest, form)) || (!isTagged && globMatches(rest, untagged));
  };
  return parseGlobs(globs).find(names)?.glob;
}

function taggedForms(name: ModelName, path: string): readonly string[] {
  const plain = `${path}:${name.tag}`;
  return name.cloud ? [plain, name.short, `${plain}-cloud`, `${plain}:cloud`] : [plain];
}
