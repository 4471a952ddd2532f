/** Numbers that Ollama wrote into an answer; left out where it did not, or wrote 0, which is a placeholder in streams. */
export interface AnswerUsage {
  readonly prompt?: number;
  readonly output?: number;
  /** How many events of `/v1/responses` there were so far. */
  readonly events?: number;
}

/** Where the numbers are in a record, in every dialect; the record that begins a stream of `/v1/messages` differs. */
const places: Readonly<Record<string, keyof AnswerUsage>> = {
  prompt_eval_count: 'prompt',
  'usage.prompt_tokens': 'prompt',
  'usage.input_tokens': 'prompt',
  'response.usage.input_tokens': 'prompt',
  'message.usage.input_tokens': 'prompt',
  eval_count: 'output',
  'usage.completion_tokens': 'output',
  'usage.output_tokens': 'output',
  'response.usage.output_tokens': 'output',
  sequence_number: 'events',
};

/** What a place ends with: what is kept of an object before it is known where it is. */
const ends: ReadonlySet<string> = new Set(
  Object.keys(places).flatMap((place) => {
    const names = place.split('.');
    return names.map((_, from) => names.slice(from).join('.'));
  }),
);

/** Numbers by the names of the objects around them: `usage.prompt_tokens`. A number by itself has the empty name. */
type Numbers = ReadonlyMap<string, number>;

const none: Numbers = new Map();
const whitespace = /\s/;
const literal = /[\w.+-]/;
const count = /^[1-9]\d{0,8}$/;

/**
 * Reads the numbers from a record, or from as much of its end as there is: `text` ends where the record does. A number
 * counts by where it is, never by its name alone: a model's tool call, and the tools and schemas that Ollama repeats,
 * hold whatever names a client likes. It is read backwards, because only its end is sure to be outside of strings.
 */
export function usageAtEnd(text: string): AnswerUsage {
  const usage: { -readonly [kind in keyof AnswerUsage]: number } = {};
  for (const [place, number] of numbersAtEnd(text)) {
    const kind = places[place];
    if (kind !== undefined) usage[kind] ??= number;
  }
  return usage;
}

function numbersAtEnd(text: string): Numbers {
  /** Of each object or list around a place, the outermost first. */
  const open: Map<string, number>[] = [];
  /** What the value that was passed last holds. */
  let value = none;
  let beforeColon = false;
  for (let at = text.length - 1; at >= 0; at--) {
    const character = text[at] ?? '';
    if (character === '}' || character === ']') {
      open.push(new Map());
    } else if (character === '{' || character === '[') {
      const closed = open.pop() ?? none;
      if (open.length === 0) return closed;
      value = closed;
    } else if (character === ':') {
      beforeColon = true;
    } else if (character === '"') {
      const begin = openingQuote(text, at);
      if (begin === -1) break;
      if (beforeColon) keep(open.at(-1), text.slice(begin + 1, at), value);
      value = none;
      beforeColon = false;
      at = begin;
    } else if (literal.test(character)) {
      let begin = at;
      while (begin > 0 && literal.test(text[begin - 1] ?? '')) begin -= 1;
      const written = text.slice(begin, at + 1);
      value = count.test(written) ? new Map([['', Number(written)]]) : none;
      at = begin;
    } else if (character !== ',' && !whitespace.test(character)) {
      return none;
    }
  }
  return open[0] ?? none;
}

/** The place of the quote that begins a string; -1 when it is not in the text. One within is behind a backslash. */
function openingQuote(text: string, closing: number): number {
  for (let at = text.lastIndexOf('"', closing - 1); at > 0; at = text.lastIndexOf('"', at - 1)) {
    let backslashes = 0;
    while (text[at - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return -1;
}

function keep(into: Map<string, number> | undefined, name: string, value: Numbers): void {
  for (const [inner, number] of value) {
    const path = inner === '' ? name : `${name}.${inner}`;
    if (ends.has(path)) into?.set(path, number);
  }
}
