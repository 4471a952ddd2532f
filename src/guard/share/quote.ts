/** Writes a text as a literal of a language: whatever it holds, it stays one literal. */
export type WriteLiteral = (text: string) => string;

const escapeUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

function escapePoint(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : escapeUnit(character);
}

/** For JSON and JavaScript, in printable ASCII: no file encoding and no line separator can spoil it. */
export const jsonLiteral: WriteLiteral = (text) => JSON.stringify(text).replace(/[^ -~]/g, escapeUnit);

/**
 * For Python and for YAML in double quotes, in printable ASCII. They know JSON's escapes, but take a surrogate pair for
 * two characters. https://docs.python.org/3/reference/lexical_analysis.html, https://yaml.org/spec/1.2.2/#57-escaped-characters
 */
export const pythonLiteral: WriteLiteral = (text) => JSON.stringify(text).replace(/[^ -~]/gu, escapePoint);

/** For PowerShell in single quotes, where typographic ones count as much: about_Quoting_Rules, `IsSingleQuote`. */
export const powershellLiteral: WriteLiteral = (text) => `'${text.replace(/['\u2018-\u201b]/g, '$&$&')}'`;

/**
 * JSON that goes through a shell: inside its strings, every sign that a shell could act on is escaped, which leaves
 * JSON's own double quotes to be dealt with.
 */
export function shellJson(value: unknown): string {
  return JSON.stringify(value).replace(/[^\w {}[\],:"./\\-]/g, escapeUnit);
}

/** What may stand in a comment or a field: no line break, which would end it, and nothing unseen. */
export function oneLine(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '');
}

/**
 * The lines of a certificate in PEM, of the characters alone that PEM is made of (RFC 7468 §3): nothing that ends a
 * string or means something to a shell, whatever the text holds.
 */
export function pemLines(pem: string): readonly string[] {
  return pem.split('\n').flatMap((line) => line.replace(/[^A-Za-z0-9+/= -]/g, '').trim() || []);
}
