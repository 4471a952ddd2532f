/** Programs from Debian that tests need beside Node, and how they get onto a machine. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Each Debian package with the program of it that tests call. */
const programs = {
  pebble: '/usr/bin/pebble',
  tcpdump: '/usr/bin/tcpdump',
  'testssl.sh': '/usr/bin/testssl',
  iproute2: '/usr/sbin/ip',
  openssl: '/usr/bin/openssl',
  curl: '/usr/bin/curl',
} as const;

/** A Debian package that tests need. */
export type DebianPackage = keyof typeof programs;

/** Installs what is missing, where this process may: on Debian, as root. Elsewhere the tests that need it are skipped. */
export function installPrograms(): void {
  const missing = (Object.keys(programs) as DebianPackage[]).filter((name) => !existsSync(programs[name]));
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return;
  console.log(`tests: installing ${missing.join(', ')}`);
  const run = (...args: string[]) => execFileSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  run('-q', 'update');
  run('-q', 'install', '-y', '--no-install-recommends', ...missing);
}

/** For a test's `skip`: why it cannot run here; false when nothing is missing. */
export function without(...names: readonly DebianPackage[]): string | false {
  const missing = names.filter((name) => !existsSync(programs[name]));
  return missing.length > 0 && `needs ${missing.join(', ')}: apt-get install ${missing.join(' ')}`;
}

/** For a test's `skip`: whether this process may make network namespaces. */
export function withoutNamespaces(): string | false {
  return without('iproute2') || (process.getuid?.() !== 0 && 'needs root, to make network namespaces');
}
