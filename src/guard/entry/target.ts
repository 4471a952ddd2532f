/**
 * The path of a request target, or undefined when it is not written in its one plain form.
 *
 * Ollama's router matches the *decoded* path, so `/api/%70ull` would be `/api/pull` there while it is unknown here
 * (SEC-37). What is checked must be what is sent: a path that decoding would change, or that a router could read in
 * another way, is refused rather than repaired. The query is dropped, no route of Ollama needs one (SEC-25, SEC-30).
 */
export function canonicalPath(target: string): string | undefined {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  // Absolute-form (`http://…`), authority-form and `*` do not begin with a slash.
  if (!/^\/[A-Za-z0-9/._~:@+=-]*$/.test(path)) return undefined;
  if (query !== -1 && !/^[\x21-\x7e]*$/.test(target.slice(query))) return undefined;
  if (target.includes('#')) return undefined;
  return /\/\/|\/\.{1,2}(\/|$)/.test(path) ? undefined : path;
}
