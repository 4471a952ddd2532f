/**
 * Finds the texts that a person sees in the source: what is given to `l10n.t`, and what the guard says as data and
 * src/vscode/words.ts translates. Reads tokens, not types: a text that is no literal where one belongs is reported, so
 * that none slips by.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

interface Token {
  /** `text`: a string or template whose value is known; `open`: a template with something to fill in. */
  readonly kind: 'code' | 'text' | 'open';
  /** What it says; of an open template, its first part. */
  readonly value: string;
}

const pieces =
  /(?<comment>\/\/.*|\/\*[\s\S]*?\*\/)|(?<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?<template>`)|(?<word>[\w$#]+)|(?<sign>=>|\?\?|\?\.|&&|\|\||[=!]==?|\S)/gy;
const templatePart = /((?:\\[\s\S]|[^\\`$]|\$(?!\{))*)(`|\$\{)/y;
const regex = /\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\[\n])+\/\w*/y;

/** After these a slash begins a regular expression; after anything else it divides. */
const beforeRegex = /^(?:[([{,;:=!&|?+]|=>|\?\?|&&|\|\||[=!]==?|return)$/;

/** The tokens of a TypeScript source, without comments. Templates are followed by the tokens of what fills them. */
export function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = [];
  /** Braces that are open in each template that is being filled, innermost last. */
  const filling: number[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  const takeTemplatePart = (first: boolean): void => {
    const [, text = '', end] = take(templatePart) ?? [];
    if (end === undefined) throw new Error(`a template without an end: ${source.slice(at, at + 60)}`);
    const whole = first && end === '`';
    tokens.push({ kind: whole ? 'text' : 'open', value: unescaped(text) });
    if (end !== '`') filling.push(0);
  };
  for (;;) {
    take(/\s*/y);
    if (at >= source.length) return tokens;
    const last = tokens.at(-1);
    const mayBeRegex = last?.kind !== 'text' && (last?.kind !== 'code' || beforeRegex.test(last.value));
    const isComment = source.startsWith('//', at) || source.startsWith('/*', at);
    if (mayBeRegex && !isComment && take(regex) !== null) {
      tokens.push({ kind: 'code', value: 'regex' });
      continue;
    }
    const { comment, string, template, word, sign } = take(pieces)?.groups ?? {};
    if (comment !== undefined) continue;
    if (string !== undefined) tokens.push({ kind: 'text', value: unescaped(string.slice(1, -1)) });
    else if (template !== undefined) takeTemplatePart(true);
    else if (sign === '}' && filling.at(-1) === 0) {
      filling.pop();
      takeTemplatePart(false);
    } else {
      const depth = filling.pop();
      if (depth !== undefined) filling.push(depth + (sign === '{' ? 1 : sign === '}' ? -1 : 0));
      tokens.push({ kind: 'code', value: word ?? sign ?? '' });
    }
  }
}

function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-f]{4})|u\{([0-9a-f]+)\}|([\s\S]))/gi, (_, short, long, sign) => {
    const code: string | undefined = short ?? long;
    if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
    return sign === 'n' ? '\n' : sign === '\n' ? '' : sign;
  });
}

/** Where texts stand: the arguments of calls, by their number. */
const calls: readonly { readonly callee: readonly string[]; readonly texts: readonly number[] }[] = [
  { callee: ['l10n', '.', 't'], texts: [0] },
  { callee: ['new', 'GuardError'], texts: [1] },
  { callee: ['say'], texts: [0] },
  { callee: ['said'], texts: [0] },
  { callee: ['listed'], texts: [1, 2] },
  { callee: ['failureOf'], texts: [1] },
];

/** What was found in a source. */
export interface Found {
  readonly texts: readonly string[];
  /** Places where a text belongs and no literal stands, as `callee: tokens`. */
  readonly unreadable: readonly string[];
}

/** The texts in one source. */
export function textsIn(source: string): Found {
  const tokens = tokenize(source);
  const texts: string[] = [];
  const unreadable: string[] = [];
  const read = (place: string, value: readonly Token[] = []): void => {
    const [only] = value;
    if (value.length === 1 && only?.kind === 'text') texts.push(only.value);
    else
      unreadable.push(
        `${place}: ${value.map((token) => (token.kind === 'code' ? token.value : `'${token.value}'`)).join(' ')}`,
      );
  };
  const isCode = (at: number, ...values: readonly string[]): boolean =>
    values.every((value, i) => tokens[at + i]?.kind === 'code' && tokens[at + i]?.value === value);

  for (let at = 0; at < tokens.length; at++) {
    for (const { callee, texts: places } of calls) {
      if (!isCode(at, ...callee, '(') || isCode(at - 1, 'function') || isCode(at - 1, '.')) continue;
      const given = argumentsAt(tokens, at + callee.length);
      for (const place of places) read(callee.join(' '), given[place]);
    }
    // `l10n` goes by no other name and is called in no other way, or the rules above would not see it.
    if (isCode(at, 'l10n') && !isCode(at, 'l10n', '.', 't', '(') && !isCode(at + 1, ',') && !isCode(at + 1, '}')) {
      read('l10n', tokens.slice(at, at + 4));
    }
    // A Message, written out or passed on.
    if (isCode(at, 'text', ':') && !isCode(at + 2, 'string')) {
      const value = valueAt(tokens, at + 2);
      if (isCode(at + 2 + value.length, ',', 'args')) read('text', value);
    }
    if (isCode(at, 'text', ',', 'args') && !isCode(at - 1, '.')) read('text', tokens.slice(at, at + 1));
    // A client's hint.
    if (isCode(at, 'note', ':')) read('note', valueAt(tokens, at + 2));
    // What is wrong with a value: what the code says itself, and what a check of zod does.
    if (isCode(at, 'args', ':', '{')) {
      const value = valueAt(tokens, at + 2);
      const problem = value.findIndex((token) => token.kind === 'code' && token.value === 'problem');
      if (problem > 0) read('problem', fallbackOf(valueAt(value, problem + 2)));
    }
    if (isCode(at, 'z', '.')) {
      const open = tokens.findIndex((token, i) => i > at && token.kind === 'code' && !/^[\w.]+$/.test(token.value));
      if (!isCode(open, '(') || /^(literal|discriminatedUnion|_default)$/.test(tokens[open - 1]?.value ?? '')) continue;
      for (const given of argumentsAt(tokens, open)) {
        if (given.length === 1 && given[0]?.kind === 'text') read('z', given);
        const error = given[0]?.value === '{' ? given.findIndex(({ value }) => value === 'error') : -1;
        if (error > 0) read('error', valueAt(given, error + 2));
      }
    }
    // A function that says in words what is wrong with something.
    if (isCode(at, 'function') && tokens[at + 1]?.value.endsWith('Problem')) {
      for (const value of wordsOf(tokens, at)) read('return', value);
    }
  }
  return { texts, unreadable };
}

/** What comes after `??`, or all: what stands before it is read where it is made. */
function fallbackOf(value: readonly Token[]): readonly Token[] {
  return value.slice(value.findIndex((token) => token.kind === 'code' && token.value === '??') + 1);
}

const opening = /^[([{]$/;
const closing = /^[)\]}]$/;

/** The tokens of one value: up to the comma, semicolon or bracket that ends it. */
function valueAt(tokens: readonly Token[], at: number): readonly Token[] {
  let depth = 0;
  let end = at;
  for (; end < tokens.length; end++) {
    const { kind, value } = tokens[end] as Token;
    if (kind !== 'code') continue;
    if (depth === 0 && (/^[,;]$/.test(value) || closing.test(value))) break;
    depth += opening.test(value) ? 1 : closing.test(value) ? -1 : 0;
  }
  return tokens.slice(at, end);
}

/** What a call is given, whose opening bracket is at `open`. */
function argumentsAt(tokens: readonly Token[], open: number): readonly (readonly Token[])[] {
  const given: (readonly Token[])[] = [];
  for (let at = open + 1; at < tokens.length; ) {
    const value = valueAt(tokens, at);
    if (value.length > 0) given.push(value);
    at += value.length;
    if (tokens[at]?.value !== ',') break;
    at += 1;
  }
  return given;
}

/** What a function returns that begins at `at` and gives words or nothing; none when it gives something else. */
function wordsOf(tokens: readonly Token[], at: number): readonly (readonly Token[])[] {
  const rest = tokens.slice(at);
  const body = rest.findIndex(({ kind, value }) => kind === 'code' && value === '{');
  const type = rest.slice(body - 4, body).map(({ value }) => value);
  if (type.join('') !== ':string|undefined') return [];
  // The body is over where its last bracket closes: a value that begins after the first one ends there.
  let end = body + 1;
  while (rest[end]?.value !== '}' && end < rest.length) end += Math.max(1, valueAt(rest, end).length);
  return rest
    .slice(0, end)
    .flatMap(({ kind, value }, i) => (kind === 'code' && value === 'return' ? [valueAt(rest, i + 1)] : []))
    .filter(([first]) => first?.value !== 'undefined');
}

/** Properties and variables whose value a person sees in VS Code. */
const shown = /^(title|placeHolder|placeholder|prompt|label|description|detail|tooltip|name|text|message)$/;

/** Texts in a source that a person sees in VS Code although nothing translates them. */
export function untranslatedIn(source: string): readonly string[] {
  const tokens = tokenize(source);
  return tokens.flatMap(({ kind, value: word }, at) => {
    if (kind !== 'code') return [];
    const next = tokens[at + 1];
    if (next?.kind !== 'code') return [];
    if (shown.test(word) && /^[:=]$/.test(next.value)) return literalsOf(valueAt(tokens, at + 2));
    if (!/^show\w+Message$|^setStatusBarMessage$|^showError$/.test(word) || next.value !== '(') return [];
    return argumentsAt(tokens, at + 1).flatMap(literalsOf);
  });
}

/** The literals of a value itself: not those that a call inside it is given, nor those of objects, which have names. */
function literalsOf(value: readonly Token[]): readonly string[] {
  const found: string[] = [];
  const brackets: boolean[] = [];
  value.forEach(({ kind, value: word }, at) => {
    if (kind === 'code' && opening.test(word)) {
      const before = value[at - 1];
      const isCall = word === '(' && before?.kind === 'code' && /^[\w$#)\]]+$/.test(before.value);
      brackets.push(isCall || word === '{');
    } else if (kind === 'code' && closing.test(word)) {
      brackets.pop();
    } else if (kind !== 'code' && !brackets.includes(true) && !isCompared(value, at)) {
      // Codicons are no words.
      if (/\p{L}/u.test(word.replace(/\$\([\w~-]+\)/g, ''))) found.push(word);
    }
  });
  return found;
}

function isCompared(value: readonly Token[], at: number): boolean {
  return [value[at - 1], value[at + 1]].some((token) => token?.kind === 'code' && /^[=!]==$/.test(token.value));
}

/** The source files in folders, by their path from the root with slashes. */
export function sources(...patterns: readonly string[]): ReadonlyMap<string, string> {
  const files = globSync([...patterns], { cwd: root }).sort();
  return new Map(files.map((file) => [file.replaceAll('\\', '/'), readFileSync(join(root, file), 'utf8')]));
}
