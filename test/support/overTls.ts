import { createCertificates, loopbackNames } from './certificates.ts';

/** In the environment of tests that are run once more, over TLS: test/proxy/tlsAsWithout.test.ts. */
export const overTlsVariable = 'OLLAMA_GUARD_TESTS_OVER_TLS';

/** How guards encrypt and whom clients trust, in tests that run over TLS; undefined in those that do not. */
export const overTls = process.env[overTlsVariable] === undefined ? undefined : prepare();

function prepare() {
  const certificates = createCertificates();
  const tls = { mode: 'files', ...certificates.sign(...loopbackNames) } as const;
  return { tls, ca: certificates.ca };
}
