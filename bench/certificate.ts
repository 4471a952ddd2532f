import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Processes } from './processes.ts';

/** A certificate that signs itself, and the files of both of its halves. */
export interface Certificate {
  readonly file: string;
  readonly keyFile: string;
  /** The certificate, for clients that trust it alone. */
  readonly pem: string;
}

/** For 127.0.0.1, with an ECDSA key on P-256, which is what every proxy here makes or gets by default. */
export async function makeCertificate(processes: Processes): Promise<Certificate> {
  const folder = await processes.folder('certificate');
  const file = join(folder, 'certificate.pem');
  const keyFile = join(folder, 'key.pem');
  await processes.run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '7'],
    ...['-subj', '/CN=bench', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', file],
  ]);
  return { file, keyFile, pem: await readFile(file, 'utf8') };
}
