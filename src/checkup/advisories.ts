/** A hole in Ollama that a newer version has closed. */
export interface Advisory {
  readonly id: string;
  /** The first version without it. */
  readonly fixedIn: string;
}

/**
 * Holes with a known fix, oldest first; docs/check.md says what each one is. The versions are those of the Go
 * vulnerability database (https://pkg.go.dev/vuln/, August 2026), except where a line says otherwise. Holes without a
 * fix are not here: a newer version does not help against them, and the guard closes their routes to teammates.
 */
export const advisories: readonly Advisory[] = [
  // GO-2024-2699: DNS rebinding.
  { id: 'CVE-2024-28224', fixedIn: '0.1.29' },
  // GO-2024-2901, "Probllama": a pulled model writes files anywhere.
  { id: 'CVE-2024-37032', fixedIn: '0.1.34' },
  // GO-2025-3851: a made-up pull deletes files anywhere.
  { id: 'CVE-2025-44779', fixedIn: '0.1.34' },
  // GO-2024-3245: a made-up model crashes it.
  { id: 'CVE-2024-39720', fixedIn: '0.1.46' },
  // GO-2024-3104: a ZIP archive is unpacked outside of its folder.
  { id: 'CVE-2024-45436', fixedIn: '0.1.47' },
  // GO-2025-3548: a registry's compressed answer fills the memory. Fixed in 0.4.0-ci1, a build before 0.4.0.
  { id: 'CVE-2024-12886', fixedIn: '0.4.0' },
  // A registry obtains the token for another. https://github.com/ollama/ollama/pull/13738; see
  // https://github.com/github/advisory-database/pull/8826, and `git tag --contains 7601f0e`.
  { id: 'CVE-2025-51471', fixedIn: '0.14.3' },
  // GO-2026-5748, "Bleeding Llama": a made-up model reads out its memory.
  { id: 'CVE-2026-7482', fixedIn: '0.17.1' },
];

/** The numbers of a version, and a fourth: -1 before the release, 0 from it on. */
type Version = readonly [number, number, number, -1 | 0];

/**
 * Reads a version as Ollama reports it, such as `0.33.0`, `0.33.0-rc2`, or `0.5.7-4-ga420a45` for a build of what came
 * after 0.5.7. Undefined for `0.0.0`, which is any build without a version, and for what is none.
 */
function parseVersion(text: string): Version | undefined {
  const [, major, minor, patch, early] = /^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?![\d.])(-(?:rc|ci))?/.exec(text) ?? [];
  const numbers = [Number(major), Number(minor), Number(patch)] as const;
  if (!numbers.some((number) => number > 0)) return undefined;
  return [...numbers, early === undefined ? 0 : -1];
}

/** The advisories whose fix a version of Ollama lacks; undefined when the version tells nothing. */
export function lackingFixes(version: string): readonly Advisory[] | undefined {
  const own = parseVersion(version);
  if (own === undefined) return undefined;
  return advisories.filter(({ fixedIn }) => isOlder(own, parseVersion(fixedIn) ?? own));
}

function isOlder(one: Version, other: Version): boolean {
  const at = one.findIndex((number, index) => number !== other[index]);
  return at !== -1 && (one[at] ?? 0) < (other[at] ?? 0);
}
