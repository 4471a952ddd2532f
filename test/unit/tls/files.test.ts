import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { GuardError } from '../../../src/guard/errors.ts';
import { certificatesIn } from '../../../src/guard/tls/certificate.ts';
import { openFiles } from '../../../src/guard/tls/files.ts';
import { createCertificates } from '../../support/certificates.ts';
import { without } from '../../support/debian.ts';
import { Looks, SourceWitness } from './witness.ts';

const skip = without('openssl');
const dayMs = 86_400_000;

/** A pair of files, of an authority of the test, with whatever else a test wants in them. */
function pairOf(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'ollama-guard-files-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const authority = createCertificates(t);
  const paths = {
    mode: 'files',
    certificate: join(folder, 'fullchain.pem'),
    key: join(folder, 'privkey.pem'),
  } as const;
  const sign = () => {
    const { certificate, key } = authority.sign('DNS:gpu.example.org');
    return { own: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
  };
  const write = ({ own, key }: { readonly own: string; readonly key: string }) => {
    writeFileSync(paths.certificate, own + authority.ca);
    writeFileSync(paths.key, key);
  };
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const first = sign();
  write(first);
  return { folder, paths, authority, first, sign, write, openssl };
}

const serialOf = (chain: string): string | undefined => certificatesIn(chain)[0]?.serialNumber;

type Pair = ReturnType<typeof pairOf>;

/** Ways in which files are of no use, and what the error says, with the name of the file to look at. */
const broken: Readonly<Record<string, readonly [spoil: (pair: Pair) => void, says: RegExp]>> = {
  'there is no certificate file': [
    ({ paths }) => rmSync(paths.certificate),
    /fullchain\.pem cannot be read \(ENOENT\)\. Check the path/,
  ],
  'there is no key file': [({ paths }) => rmSync(paths.key), /privkey\.pem cannot be read \(ENOENT\)/],
  'the certificate is empty': [
    ({ paths }) => writeFileSync(paths.certificate, ''),
    /fullchain\.pem holds no certificate/,
  ],
  'the certificate is cut short': [
    ({ paths, first }) => writeFileSync(paths.certificate, first.own.slice(0, 300)),
    /fullchain\.pem holds no certificate/,
  ],
  'the certificate is garbage': [
    ({ paths }) => writeFileSync(paths.certificate, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
    /fullchain\.pem holds no certificate/,
  ],
  'the certificate is in DER': [
    ({ openssl }) => openssl('x509', '-in', 'fullchain.pem', '-outform', 'DER', '-out', 'fullchain.pem'),
    /fullchain\.pem holds no certificate/,
  ],
  'the certificate file is too long': [
    ({ paths, first }) => writeFileSync(paths.certificate, first.own + '\n'.repeat(1024 * 1024)),
    /fullchain\.pem holds no certificate/,
  ],
  'the certificate file is a pipe': [
    ({ paths }) => {
      rmSync(paths.certificate);
      execFileSync('mkfifo', [paths.certificate]);
    },
    /fullchain\.pem holds no certificate/,
  ],
  'the key file holds no key': [
    ({ paths, first }) => writeFileSync(paths.key, first.own),
    /no private key that can be read in .*privkey\.pem/,
  ],
  'the key has a passphrase (PKCS #8)': [
    ({ openssl, paths }) =>
      writeFileSync(paths.key, openssl('pkcs8', '-topk8', '-in', 'privkey.pem', '-passout', 'pass:secret')),
    /The private key in .*privkey\.pem has a passphrase/,
  ],
  'the key has a passphrase (traditional)': [
    ({ openssl }) => openssl('ec', '-aes256', '-in', 'privkey.pem', '-passout', 'pass:secret', '-out', 'privkey.pem'),
    /The private key in .*privkey\.pem has a passphrase/,
  ],
  'the key is of another certificate': [
    ({ paths, sign }) => writeFileSync(paths.key, sign().key),
    /privkey\.pem is not that of the first certificate in .*fullchain\.pem/,
  ],
  'the authority comes first': [
    ({ paths, authority, first }) => writeFileSync(paths.certificate, authority.ca + first.own),
    /privkey\.pem is not that of the first certificate in .*fullchain\.pem/,
  ],
  'the key is too short for TLS': [
    ({ openssl }) => {
      const to = ['-keyout', 'privkey.pem', '-out', 'fullchain.pem'];
      openssl('req', '-x509', '-newkey', 'rsa:512', '-nodes', ...to, '-subj', '/CN=weak', '-days', '30');
    },
    /TLS does not take the certificate in .*fullchain\.pem \(.*key too small.*\)/,
  ],
};

const invalid = (says: RegExp) => (error: unknown) =>
  GuardError.is(error, 'certificate-invalid') && says.test(error.message);

async function open(t: TestContext, pair = pairOf(t)) {
  const [looks, witness] = [new Looks(t), new SourceWitness()];
  // Certificates that the test makes later are valid by then.
  witness.now += 60_000;
  const source = await openFiles(pair.paths, witness.ports);
  t.after(() => source.close());
  return { ...pair, looks, witness, source };
}

describe('a certificate from files', { skip }, () => {
  it('is the chain and key of the files, and the same as long as they are', async (t) => {
    const { source, first, looks, witness, authority } = await open(t);
    assert.equal(certificatesIn(source.certificate.chain).map(String).join(''), first.own + authority.ca);
    assert.equal(source.certificate.key, first.key);
    await looks.next();
    assert.deepEqual([witness.certificates, witness.problems], [[], []]);
  });

  it('may be in one file with its key, beside what else openssl writes', async (t) => {
    const pair = pairOf(t);
    const { own, key } = pair.first;
    const traditional = pair.openssl('ec', '-in', 'privkey.pem', '-param_out').toString();
    writeFileSync(
      pair.paths.certificate,
      `Bag Attributes\n${traditional}${key}${own.replaceAll('\n', '\r\n')}${pair.authority.ca}`,
    );
    const { source } = await open(t, { ...pair, paths: { ...pair.paths, key: pair.paths.certificate } });
    assert.equal(source.certificate.key, key);
  });

  for (const [what, [spoil, says]] of Object.entries(broken)) {
    it(`is an error when ${what}`, async (t) => {
      const pair = pairOf(t);
      spoil(pair);
      await assert.rejects(openFiles(pair.paths, new SourceWitness().ports), invalid(says));
    });

    it(`stays as it was when ${what} later, which is told at the second look and mended`, async (t) => {
      const opened = await open(t);
      const { looks, witness, write, sign } = opened;
      spoil(opened);
      await looks.next();
      assert.deepEqual(witness.problems, []);
      await looks.next();
      await looks.next();
      assert.deepEqual([witness.certificates.length, witness.problems.length], [0, 1]);
      rmSync(opened.paths.certificate, { force: true });
      const next = sign();
      write(next);
      await looks.next();
      assert.deepEqual(witness.problems.slice(1), [undefined]);
      assert.deepEqual(
        witness.certificates.map(({ chain }) => serialOf(chain)),
        [serialOf(next.own)],
      );
    });
  }

  it('is another at the first look after both files changed', async (t) => {
    const { looks, witness, write, sign } = await open(t);
    const next = sign();
    write(next);
    await looks.next();
    assert.deepEqual(
      witness.certificates.map(({ key }) => key),
      [next.key],
    );
    await looks.next();
    assert.equal(witness.certificates.length, 1);
  });

  it('is another after a link to it was turned round, as certbot does', async (t) => {
    const pair = pairOf(t);
    const turn = (number: number) => {
      for (const path of [pair.paths.certificate, pair.paths.key]) {
        copyFileSync(path, `${path}${number}`);
        symlinkSync(`${path}${number}`, `${path}.new`);
        renameSync(`${path}.new`, path);
      }
    };
    turn(1);
    const { looks, witness, sign } = await open(t, pair);
    const next = sign();
    writeFileSync(`${pair.folder}/fullchain.pem2`, next.own + pair.authority.ca);
    writeFileSync(`${pair.folder}/privkey.pem2`, next.key);
    for (const path of [pair.paths.certificate, pair.paths.key]) {
      symlinkSync(`${path}2`, `${path}.new`);
      renameSync(`${path}.new`, path);
    }
    await looks.next();
    assert.deepEqual(
      witness.certificates.map(({ key }) => key),
      [next.key],
    );
  });

  it('is no problem while half of a new pair is written', async (t) => {
    const { looks, witness, sign, paths, authority } = await open(t);
    for (const { own, key } of [sign(), sign()]) {
      writeFileSync(paths.certificate, own + authority.ca);
      await looks.next();
      writeFileSync(paths.key, key);
      await looks.next();
    }
    assert.deepEqual([witness.certificates.length, witness.problems], [2, []]);
  });

  it('is no problem any more when the files are as before', async (t) => {
    const { looks, witness, first, write, paths } = await open(t);
    rmSync(paths.key);
    await looks.next();
    await looks.next();
    write(first);
    await looks.next();
    assert.equal(witness.problems.length, 2);
    assert.deepEqual([witness.certificates, witness.problems[1]], [[], undefined]);
  });

  it('is an error before its time and after it', async (t) => {
    const { paths } = pairOf(t);
    const witness = new SourceWitness();
    witness.now += 21 * dayMs;
    await assert.rejects(
      openFiles(paths, witness.ports),
      invalid(/fullchain\.pem ran out on \d{4}-\d\d-\d\d \d\d:\d\d UTC/),
    );
    witness.now -= 22 * dayMs;
    await assert.rejects(openFiles(paths, witness.ports), invalid(/fullchain\.pem is not valid before \d{4}-/));
  });

  it('is reported when it runs out while it is served', async (t) => {
    const { looks, witness, write, sign } = await open(t);
    witness.now += 21 * dayMs;
    await looks.next();
    assert.deepEqual(witness.problems, ['The certificate in {file} ran out on {time}. Renew it.']);
    witness.now -= 21 * dayMs;
    write(sign());
    await looks.next();
    assert.deepEqual([witness.certificates.length, witness.problems.length, witness.problems[1]], [1, 2, undefined]);
  });

  const flaws: Readonly<Record<string, readonly [chain: (pair: Pair) => string, says: RegExp | undefined]>> = {
    'the authority is left out': [({ first }) => first.own, /own certificate alone/],
    'another authority comes with it': [({ first }) => first.own + createCertificates().ca, /are no chain/],
    'something else is between': [
      ({ first, authority, sign }) => first.own + sign().own + authority.ca,
      /are no chain/,
    ],
    'it has signed itself': [
      ({ openssl, paths }) => {
        openssl('req', '-x509', '-key', 'privkey.pem', '-out', 'self.pem', '-subj', '/CN=self', '-days', '9');
        return readFileSync(join(paths.certificate, '..', 'self.pem'), 'utf8');
      },
      undefined,
    ],
  };
  for (const [what, [chain, says]] of Object.entries(flaws)) {
    it(`is served, and ${says === undefined ? 'nothing' : 'something'} is said, when ${what}`, async (t) => {
      const pair = pairOf(t);
      writeFileSync(pair.paths.certificate, chain(pair));
      const { witness, looks, write, sign } = await open(t, pair);
      assert.equal(witness.problems.length, says === undefined ? 0 : 1);
      if (says !== undefined) assert.match(witness.problems[0] ?? '', says);
      write(sign());
      await looks.next();
      assert.deepEqual(witness.problems.slice(1), says === undefined ? [] : [undefined]);
    });
  }
});
