import { X509Certificate } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { Message } from '../message.ts';
import { type Authority, isEnding, loadAuthority } from './authority.ts';
import type { Certificate } from './certificate.ts';
import { type Computer, localNameOf, type Names, namesOf } from './names.ts';
import type { CertificateSource, SourcePorts } from './source.ts';
import type { TlsConfigOf } from './tlsConfig.ts';
import { watch } from './watch.ts';

/** What is presented, and what it was made from. */
interface Leaf {
  readonly authority: Authority;
  readonly names: Names;
  readonly certificate: Certificate;
  readonly beginsAt: number;
  /** When a third of its life is left. */
  readonly renewAt: number;
  /** Names that the authority does not permit, in words. */
  readonly problem: Message | undefined;
}

const thisComputer: Computer = { hostName: hostname, interfaces: networkInterfaces };

/**
 * Certificates of this installation's own authority, for whatever the computer is called and every address it has. A
 * newer one comes within seconds of a change of those, and when a third of its life is left.
 *
 * @throws GuardError what stands in the way of the authority.
 */
export async function openAuto(
  _config: TlsConfigOf<'auto'>,
  { vault, allowedHosts, onCertificate, onProblem, now = Date.now }: SourcePorts,
  computer: Computer = thisComputer,
): Promise<CertificateSource> {
  const load = () => loadAuthority(vault, { hostName: computer.hostName(), allowedHosts, now: now() });
  const issue = async (authority: Authority): Promise<Leaf> => {
    const names = namesOf(computer, allowedHosts);
    const certificate = await authority.issue({ ...names, dns: names.dns.filter(authority.permits) }, now());
    const { validFromDate, validToDate } = new X509Certificate(certificate.chain);
    const [beginsAt, endsAt] = [validFromDate.getTime(), validToDate.getTime()];
    const leftOut = names.dns.filter((name) => !authority.permits(name));
    const problem = leftOut.length === 0 ? undefined : leavesOut(leftOut, localNameOf(computer.hostName()));
    return { authority, names, certificate, beginsAt, renewAt: endsAt - (endsAt - beginsAt) / 3, problem };
  };

  const first = await issue(await load());
  let leaf = first;
  let isConfirmed = false;
  const look = async (): Promise<Message | undefined> => {
    // Two processes that made an authority at the same time settle on the one that is stored.
    const authority = isConfirmed && !isEnding(leaf.authority, now()) ? leaf.authority : await load();
    isConfirmed = true;
    const isStale =
      authority.anchor.sha256 !== leaf.authority.anchor.sha256 ||
      !isDeepStrictEqual(namesOf(computer, allowedHosts), leaf.names) ||
      isDue(leaf, now());
    if (isStale) {
      const newer = await issue(authority);
      onCertificate(newer.certificate);
      leaf = newer;
    }
    return leaf.problem;
  };

  if (first.problem !== undefined) onProblem(first.problem);
  return { certificate: first.certificate, close: watch(look, onProblem, first.problem) };
}

/** A clock that was ahead when the certificate was made, and was set right since, makes it one of the future. */
function isDue({ beginsAt, renewAt }: Leaf, now: number): boolean {
  return now >= renewAt || now < beginsAt;
}

function leavesOut(names: readonly string[], local = 'localhost'): Message {
  return {
    text: "The endpoint's certificate leaves out {names}: this computer's certificate authority was made without. Use an address or {local} instead, or the TLS mode files or acme.",
    args: { names: names.join(', '), local },
  };
}
