// testssl.sh looks at an endpoint with a certificate of its own authority, which is given to it to trust.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { without } from '../support/debian.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { run } from '../support/run.ts';

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

/** What costs a grade. `WARN` is about the computer that looks, `LOW` and below about taste. */
const bad = new Set(['MEDIUM', 'HIGH', 'CRITICAL']);

/** What is found and is as it should be, by id. */
const allowed: Readonly<Record<string, string>> = {
  cert_revocation: 'nobody asks a private authority whether a certificate was revoked; theirs live for 90 days',
};

/** What it must have come to: a scan that broke off would find nothing wrong either. */
const expected = {
  TLS1: 'not offered',
  TLS1_1: 'not offered',
  TLS1_2: 'offered',
  TLS1_3: 'offered with final',
  ALPN: 'http/1.1',
  cert_chain_of_trust: 'passed.',
  secure_client_renego: 'not vulnerable',
};

test('testssl.sh finds nothing that costs a grade', { skip: without('testssl.sh'), timeout: 300_000 }, async (t) => {
  const guard = await startGuard(t, await startFakeOllama(t), { config: { tls: { mode: 'auto' } } });
  const folder = await mkdtemp(join(tmpdir(), 'ollama-guard-testssl-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [ca, json] = [join(folder, 'ca.pem'), join(folder, 'findings.json')];
  await writeFile(ca, guard.guard.tls?.anchor?.pem ?? '');

  const quietly = ['--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none'];
  const checks = ['--protocols', '--std', '--pfs', '--server-defaults', '--vulnerable'];
  // Its exit code also counts connections that a busy computer did not take in time.
  const { out } = await run('testssl', [...quietly, '--add-ca', ca, '--jsonfile', json, ...checks, guard.guard.url]);
  const findings = JSON.parse(await readFile(json, 'utf8')) as Finding[];
  assert.deepEqual(
    findings.filter(({ id, severity }) => bad.has(severity) && allowed[id] === undefined),
    [],
  );
  for (const [id, finding] of Object.entries(expected)) {
    assert.equal(findings.find((found) => found.id === id)?.finding, finding, `${id}\n${out}`);
  }
});
