/**
 * Numbers that Ollama wrote into an answer; left out where it did not, or wrote 0, which is a placeholder in streams.
 * Both are 0 where a model was loaded or unloaded and no more.
 */
export interface AnswerUsage {
  readonly prompt?: number;
  readonly output?: number;
}

type Usage = { -readonly [kind in keyof AnswerUsage]: number };

/** Numbers of an object whose place is not known yet: it, or one in it, may be the `usage` of an answer. */
interface Inner extends Usage {
  isNamed: boolean;
}

const none: AnswerUsage = {};

/** Character codes. */
const [quote, comma, colon, backslash] = [0x22, 0x2c, 0x3a, 0x5c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];
const [zero, nine, underscore] = [0x30, 0x39, 0x5f];

/** A number of more digits is no count. */
const mostDigits = 9;

/**
 * Reads the numbers from a record, or from as much of its end as there is: `text` ends where the record does. A number
 * counts by where it is, never by its name alone: a model's tool call, and the tools and schemas that Ollama repeats,
 * hold whatever names a client likes. It is read backwards, because only its end is sure to be outside of strings, and
 * no further than to both numbers: an answer of any length ends with them.
 *
 * @param begin where the record begins in `text`, and `end` where it ends.
 */
export function usageAtEnd(text: string, begin = 0, end = text.length): AnswerUsage {
  const usage: Usage = {};
  /** Of each object or list around a place, the outermost first. */
  const open: (Inner | undefined)[] = [];
  // The value that was passed last: a count, a string's place, or what an object holds.
  let number = 0;
  let word = -1;
  let inner: Inner | undefined;
  let beforeColon = false;
  for (let at = end - 1; at >= begin; at--) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const first = openingQuote(text, begin, at) + 1;
      if (first === 0) break;
      if (!beforeColon) {
        word = first;
      } else {
        if (open.length === 1) {
          if (number > 0) takeCount(usage, text, first, at, number);
          else if (inner !== undefined) takeInner(usage, text, first, at, inner);
          else if (word !== -1 && isLoad(text, first, at, word)) takeNothing(usage);
          if (usage.prompt !== undefined && usage.output !== undefined) return usage;
        } else if (open.length > 1 && (number > 0 || inner !== undefined)) {
          const around = open.length - 1;
          open[around] =
            number > 0
              ? withCount(open[around], text, first, at, number)
              : withInner(open[around], text, first, at, inner);
        }
        beforeColon = false;
        word = -1;
      }
      number = 0;
      inner = undefined;
      at = first - 1;
    } else if (code === colon) {
      beforeColon = true;
    } else if (code === closeObject || code === closeList) {
      open.push(undefined);
    } else if (code === openObject || code === openList) {
      inner = open.pop();
      if (open.length === 0) return usage;
      number = 0;
      word = -1;
    } else if (isLiteral(code)) {
      const last = at;
      while (at > begin && isLiteral(text.charCodeAt(at - 1))) at -= 1;
      number = countAt(text, at, last + 1);
      word = -1;
      inner = undefined;
    } else if (code !== comma && !isBlank(code)) {
      return none;
    }
  }
  return usage;
}

/** The place of the quote that begins a string; -1 when it is not in the text. One within is behind a backslash. */
function openingQuote(text: string, begin: number, closing: number): number {
  for (let at = closing - 1; at > begin; at--) {
    if (text.charCodeAt(at) !== quote) continue;
    let first = at;
    while (first > begin && text.charCodeAt(first - 1) === backslash) first -= 1;
    if ((at - first) % 2 === 0) return at;
    at = first;
  }
  return -1;
}

/** Whether a name is this one; a part of the text would be a string of its own, at every member of every record. */
function isName(text: string, first: number, end: number, name: string): boolean {
  return end - first === name.length && text.startsWith(name, first);
}

/** In Ollama's own dialect the numbers are members of the record itself. */
function takeCount(usage: Usage, text: string, first: number, end: number, number: number): void {
  if (isName(text, first, end, 'eval_count')) usage.output ??= number;
  else if (isName(text, first, end, 'prompt_eval_count')) usage.prompt ??= number;
}

/**
 * In the others they are in its `usage`, or in that of the response that the record is about. What opens an answer of
 * `/v1/messages` has one in its message, which is a guess (`EstimateInputTokens` in anthropic.go) and is not taken.
 */
function takeInner(usage: Usage, text: string, first: number, end: number, inner: Inner): void {
  if (!isName(text, first, end, inner.isNamed ? 'response' : 'usage')) return;
  if (inner.prompt !== undefined) usage.prompt ??= inner.prompt;
  if (inner.output !== undefined) usage.output ??= inner.output;
}

function takeNothing(usage: Usage): void {
  usage.prompt ??= 0;
  usage.output ??= 0;
}

/** Whether a member says, at `word`, that a model was loaded or unloaded. */
function isLoad(text: string, first: number, end: number, word: number): boolean {
  const loads = text.startsWith('load"', word) || text.startsWith('unload"', word);
  return loads && isName(text, first, end, 'done_reason');
}

/** What an object has, `around` so far, with one more of its members. */
function withCount(around: Inner | undefined, text: string, first: number, end: number, number: number): typeof around {
  if (around?.isNamed) return around;
  if (isName(text, first, end, 'prompt_tokens') || isName(text, first, end, 'input_tokens')) {
    return { isNamed: false, ...around, prompt: number };
  }
  if (isName(text, first, end, 'completion_tokens') || isName(text, first, end, 'output_tokens')) {
    return { isNamed: false, ...around, output: number };
  }
  return around;
}

function withInner(
  around: Inner | undefined,
  text: string,
  first: number,
  end: number,
  inner: typeof around,
): typeof around {
  return inner?.isNamed === false && isName(text, first, end, 'usage') ? { ...inner, isNamed: true } : around;
}

function isLiteral(code: number): boolean {
  if (code <= nine) return code >= zero || code === 0x2d || code === 0x2e || code === 0x2b;
  const letter = code | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || code === underscore;
}

function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

/** The count that is written in a place; 0 when it is none. */
function countAt(text: string, begin: number, end: number): number {
  if (end - begin > mostDigits || text.charCodeAt(begin) === zero) return 0;
  let count = 0;
  for (let at = begin; at < end; at++) {
    const digit = text.charCodeAt(at) - zero;
    if (digit < 0 || digit > 9) return 0;
    count = 10 * count + digit;
  }
  return count;
}

/** What Ollama's numbers begin with in an answer of `/api/generate`. Within a string the quotes have backslashes. */
const numbersBegin = ',"total_duration":';
const numbers =
  /^\d+(?:,"load_duration":\d+)?(?:,"prompt_eval_count":(\d{1,9}))?(?:,"prompt_eval_duration":\d+)?(?:,"eval_count":(\d{1,9}))?[,}]/;

/** All of the numbers fit into so many characters. */
const numbersLength = 256;

/**
 * Reads the numbers where they stand in one JSON of `/api/generate`, from a part of it. They are before the tokens'
 * probabilities, which have any length, and before all else that has names which are not Ollama's own: what comes first
 * is them. Undefined when they are not in this part, or so close to its end that the next one is to begin before them.
 */
export function usageWithin(text: string): AnswerUsage | undefined {
  const begin = text.indexOf(numbersBegin);
  if (begin === -1 || text.length - begin < numbersLength) return undefined;
  const from = begin + numbersBegin.length;
  const [, prompt, output] = numbers.exec(text.slice(from, from + numbersLength)) ?? [];
  return {
    ...(Number(prompt) > 0 && { prompt: Number(prompt) }),
    ...(Number(output) > 0 && { output: Number(output) }),
  };
}
