import { defaultHost, defaultNamespace, type ModelName, parseModelName, pathOf } from './modelName.ts';

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
  /** In lower case, and how many slashes it has: whether it speaks of namespaces, and of hosts. */
  readonly whole: string;
  readonly slashes: number;
  /** Without what goes without saying in a name. */
  readonly rest: string;
  readonly tagged: boolean;
  /** Whether it speaks of Ollama's own registry alone, and of its own namespace there. */
  readonly ofHome: boolean;
  readonly ofLibrary: boolean;
}

/** The parts of a glob that go without saying in a name, and the rest. */
const parts = /^(registry\.ollama\.ai\/)?(library\/)?(.+)$/;

function parseGlob(glob: string): ModelGlob | undefined {
  const whole = glob.toLowerCase();
  const [, home, library, rest] = parts.exec(whole) ?? [];
  if (rest === undefined) return undefined;
  return {
    glob,
    whole,
    slashes: whole.split('/').length - 1,
    rest,
    tagged: rest.lastIndexOf(':') > rest.lastIndexOf('/'),
    ofHome: (home ?? library) !== undefined,
    ofLibrary: library !== undefined,
  };
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

/** Whether all models that a glob names are surely named by a wider one. */
export function isWithin(glob: string, wider: string): boolean {
  const all = wider.replace(/:\*+$/, '').toLowerCase();
  return !all.includes('?') && (globMatches(all, glob.toLowerCase()) || globMatches(`${all}:*`, glob.toLowerCase()));
}

/** Whether there can be a model that a glob names; one with wildcards is not looked into. */
export function canName(glob: string): boolean {
  if (/[*?]/.test(glob)) return true;
  // Any that it names is shown as what it says.
  const name = parseModelName(parseGlob(glob)?.rest ?? '');
  return name !== undefined && globOf([glob], name) !== undefined;
}

/**
 * The first of these globs that names a model; undefined when none does. A glob is held against the name as `/api/tags`
 * shows it, in any letter case, and against a model of ollama.com in every form of that; one that names no tag means all
 * of them. A glob that begins with Ollama's own registry or namespace speaks of that alone: `library/*` is not `*`.
 */
export function globOf(globs: readonly string[], name: ModelName): string | undefined {
  const forms = formsOf(name, pathOf(name));
  return parseGlobs(globs).find((glob) => isMeant(glob, name, forms))?.glob;
}

/**
 * As `globOf`, for globs that deny: one that speaks of namespaces or hosts is also held against those that go without
 * saying, so that no wildcard there misses them.
 */
export function denyingGlobOf(globs: readonly string[], name: ModelName): string | undefined {
  const forms = formsOf(name, pathOf(name));
  return parseGlobs(globs).find((glob) => isMeant(glob, name, forms) || meansInFull(glob, name))?.glob;
}

/** The forms of a name with its tag, and the one without. */
interface Forms {
  readonly tagged: readonly string[];
  readonly untagged: string;
}

function isMeant({ rest, tagged, ofHome, ofLibrary }: ModelGlob, name: ModelName, forms: Forms): boolean {
  if (ofHome && name.host !== defaultHost) return false;
  if (ofLibrary && name.namespace !== defaultNamespace) return false;
  return matchesAny(rest, tagged, forms);
}

function meansInFull({ whole, slashes, tagged }: ModelGlob, name: ModelName): boolean {
  const { host, namespace, model } = name;
  if (slashes === 0 || host !== defaultHost) return false;
  const path = slashes === 1 ? `${namespace}/${model}` : `${host}/${namespace}/${model}`;
  return matchesAny(whole, tagged, formsOf(name, path));
}

function matchesAny(glob: string, isTagged: boolean, { tagged, untagged }: Forms): boolean {
  return tagged.some((form) => globMatches(glob, form)) || (!isTagged && globMatches(glob, untagged));
}

/** @param path the name without its tag, in this form. */
function formsOf({ tag, cloud, short }: ModelName, path: string): Forms {
  const plain = `${path}:${tag}`;
  if (!cloud) return { tagged: [plain], untagged: path };
  const sourced = short.slice(short.lastIndexOf(':'));
  return { tagged: [plain, `${path}${sourced}`, `${plain}-cloud`, `${plain}:cloud`], untagged: path };
}
