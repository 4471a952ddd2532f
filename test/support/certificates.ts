import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A certificate authority made by openssl, what it has signed, and where both lie. */
export interface TestCertificates {
  /** The authority's certificate, in PEM. */
  readonly ca: string;
  readonly caFile: string;
  /** Signs a new certificate for these subject alternative names, such as `DNS:localhost`. */
  sign(...names: readonly string[]): { readonly certificate: string; readonly key: string };
}

/** Makes an authority with openssl; its folder goes with the test, or with the process. */
export function createCertificates(t?: TestContext): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), 'ollama-guard-certificates-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (t === undefined) process.once('exit', remove);
  else t.after(remove);
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', '/CN=Test CA');
  let signed = 0;
  return {
    ca: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    caFile: join(folder, 'ca.pem'),
    sign(...names) {
      signed += 1;
      const [key, request, certificate, extensions] = ['key', 'csr', 'pem', 'ext'].map((end) => `${signed}.${end}`) as [
        string,
        string,
        string,
        string,
      ];
      writeFileSync(
        join(folder, extensions),
        `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n`,
      );
      openssl('req', '-new', ...newKey, '-keyout', key, '-out', request, '-subj', '/CN=endpoint');
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', extensions];
      openssl('x509', '-req', '-in', request, '-out', certificate, '-days', '20', ...by);
      return { certificate: join(folder, certificate), key: join(folder, key) };
    },
  };
}

/** The names under which tests reach what listens on loopback. */
export const loopbackNames = ['IP:127.0.0.1', 'IP:127.0.0.2', 'IP:127.0.0.3', 'IP:::1', 'DNS:localhost'] as const;
