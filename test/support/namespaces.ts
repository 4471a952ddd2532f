import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { CommandLine } from '../cli/command.ts';

/** A computer of its own, as far as networks go. */
export interface NetworkNamespace {
  /** Its end of the wire. */
  readonly interfaceName: string;
  /** The command line that runs a program there. */
  run(program: string, ...args: readonly string[]): CommandLine;
  /** Calls `ip` there. */
  ip(...args: readonly string[]): void;
}

/** Two computers with a wire between them, and nothing else. */
export interface Wire {
  readonly owner: NetworkNamespace;
  readonly teammate: NetworkNamespace;
}

const ip = (...args: readonly string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

/**
 * Makes two network namespaces with a wire between them; they go with the test, or with its process. Needs root and
 * iproute2.
 *
 * @param addresses of each end, with their prefix lengths, such as `10.1.2.1/24`.
 */
export function createWire(
  t: TestContext,
  addresses: { readonly owner: readonly string[]; readonly teammate: readonly string[] },
): Wire {
  const id = `og${randomBytes(3).toString('hex')}`;
  const made: string[] = [];
  const remove = () => {
    // The wire goes with its ends.
    for (const name of made.splice(0)) ip('netns', 'delete', name);
  };
  t.after(remove);
  process.once('exit', remove);
  const create = (end: 'a' | 'b'): NetworkNamespace => {
    const name = `${id}${end}`;
    ip('netns', 'add', name);
    made.push(name);
    return {
      interfaceName: name,
      run: (program, ...args) => ['ip', 'netns', 'exec', name, program, ...args],
      ip: (...args) => ip('-n', name, ...args),
    };
  };
  const ends = { owner: create('a'), teammate: create('b') };
  const { owner, teammate } = ends;
  // Not in this process's own namespace for a moment: what names networks there would take it for its own.
  owner.ip(
    'link',
    'add',
    owner.interfaceName,
    'type',
    'veth',
    'peer',
    'name',
    teammate.interfaceName,
    'netns',
    teammate.interfaceName,
  );
  for (const [end, { interfaceName, ip: ipThere }] of Object.entries(ends) as [
    'owner' | 'teammate',
    NetworkNamespace,
  ][]) {
    ipThere('link', 'set', 'lo', 'up');
    ipThere('link', 'set', interfaceName, 'up');
    for (const address of addresses[end]) {
      ipThere('address', 'add', address, 'dev', interfaceName, ...(address.includes(':') ? ['nodad'] : []));
    }
  }
  return ends;
}
