import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { rootCertificates } from 'node:tls';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { certificatesIn, describeTls } from '../../../src/guard/tls/certificate.ts';
import { handshake, serve } from './tlsServer.ts';

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

interface Made {
  readonly name: string;
  readonly pem: string;
  readonly key: ReturnType<typeof generateKeyPairSync>['privateKey'];
}

/** A certificate for localhost, signed by another or by itself. */
async function make(name: string, issuer?: Made): Promise<Made> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', ecdsa);
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: `CN=${issuer?.name ?? name}`,
    notAfter: new Date(Date.now() + 86_400_000),
    publicKey: publicKey.export({ type: 'spki', format: 'der' }) as Buffer<ArrayBuffer>,
    signingKey: (issuer?.key ?? privateKey).toCryptoKey(ecdsa, false, ['sign']),
    signingAlgorithm: ecdsa,
    extensions: [
      new BasicConstraintsExtension(!name.startsWith('leaf'), undefined, true),
      new KeyUsagesExtension(
        name.startsWith('leaf') ? KeyUsageFlags.digitalSignature : KeyUsageFlags.keyCertSign,
        true,
      ),
      new SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }]),
    ],
  });
  return { name, pem: `${certificate.toString('pem')}\n`, key: privateKey };
}

const root = await make('root');
const middle = await make('middle', root);
const leaf = await make('leaf', middle);
const alone = await make('leaf alone');
/** Of the same name as the root, with a key of its own. */
const impostor = await make('root');
const [wellKnown = ''] = rootCertificates;

const chainOf = (...made: readonly (Made | string)[]): string =>
  made.map((one) => (typeof one === 'string' ? one : one.pem)).join('');
const describeChain = (...made: readonly (Made | string)[]) =>
  describeTls('files', { chain: chainOf(...made), key: '' }, undefined);

describe('what a client has to trust', () => {
  const anchors: readonly (readonly [what: string, chain: readonly (Made | string)[], anchor: Made | undefined])[] = [
    ['the root at the end', [leaf, middle, root], root],
    ['the root, whatever the order', [leaf, root, middle], root],
    ['the last below a root that is left out', [leaf, middle], middle],
    ['the certificate itself, when all else is left out', [leaf], leaf],
    ['the certificate itself, when it has signed itself', [alone], alone],
    ['the last that is really above, and none of the same name alone', [leaf, middle, impostor], middle],
    ['no stranger that lies in the same file', [leaf, middle, alone], middle],
    ['no well-known root that has nothing to do with it', [leaf, middle, wellKnown], middle],
    ['nothing, when a well-known root is the certificate', [wellKnown], undefined],
  ];
  for (const [what, chain, anchor] of anchors) {
    it(`is ${what}`, () => {
      const { anchor: told } = describeChain(...chain);
      const expected = anchor && new X509Certificate(anchor.pem);
      assert.equal(told?.sha256, expected?.fingerprint256);
      assert.equal(told?.pem, expected?.toString());
    });
  }

  it('is nothing when a well-known root has signed one on the way, also when that is not in the chain', (t) => {
    // Stands for a chain of a public authority: none of their keys is at hand to sign with.
    const { checkIssued, verify } = X509Certificate.prototype;
    const known = new X509Certificate(wellKnown);
    const isMiddle = (certificate: X509Certificate) => certificate.subject === 'CN=middle';
    t.mock.method(X509Certificate.prototype, 'checkIssued', function (this: X509Certificate, other: X509Certificate) {
      return (isMiddle(this) && other.subject === known.subject) || checkIssued.call(this, other);
    });
    assert.equal(describeChain(leaf, middle).anchor?.sha256, new X509Certificate(middle.pem).fingerprint256);
    t.mock.method(
      X509Certificate.prototype,
      'verify',
      function (this: X509Certificate, key: X509Certificate['publicKey']) {
        return (isMiddle(this) && key.equals(known.publicKey)) || verify.call(this, key);
      },
    );
    assert.equal(describeChain(leaf, middle).anchor, undefined);
    assert.equal(describeChain(leaf, middle, root).anchor, undefined);
  });

  for (const [what, chain, anchor, partial] of [
    ['a root', [leaf, middle, root], root, false],
    ['one below a root, with partial chains', [leaf, middle], middle, true],
    ['a certificate below a root, with partial chains', [leaf], leaf, true],
    ['one that has signed itself', [alone], alone, false],
  ] as const) {
    it(`is enough for Node: ${what}`, async (t) => {
      const [own] = chain;
      const key = own.key.export({ type: 'pkcs8', format: 'pem' }) as string;
      const port = await serve(t, { chain: chainOf(...chain), key });
      const ca = describeChain(...chain).anchor?.pem ?? '';
      assert.equal(ca, anchor.pem);
      const options = { host: '127.0.0.1', port, servername: 'localhost', ca };
      const presented = await handshake({ ...options, allowPartialTrustChain: true });
      assert.ok(typeof presented !== 'string', String(presented));
      assert.equal(typeof (await handshake(options)) === 'string', partial);
    });
  }
});

describe('what is told of a certificate', () => {
  it('is its end, the pin of its key as curl takes it, and what is wrong', () => {
    const problem = { text: 'why', args: {} };
    const { expiresAt, publicKeyPin, ...rest } = describeTls('files', { chain: chainOf(alone), key: '' }, problem);
    const own = new X509Certificate(alone.pem);
    const spki = own.publicKey.export({ type: 'spki', format: 'der' });
    assert.equal(expiresAt, Date.parse(own.validTo));
    assert.equal(publicKeyPin, `sha256//${createHash('sha256').update(spki).digest('base64')}`);
    assert.deepEqual(rest, {
      mode: 'files',
      anchor: { pem: own.toString(), sha256: own.fingerprint256 },
      problem,
    });
  });

  it('needs a certificate', () => {
    assert.throws(() => describeTls('files', { chain: 'none', key: '' }, undefined));
  });

  it('takes certificates out of whatever else is in a PEM text', () => {
    const key = leaf.key.export({ type: 'pkcs8', format: 'pem' }) as string;
    const text = `Bag Attributes\n${key}${leaf.pem.replaceAll('\n', '\r\n')}subject=CN = middle\n${middle.pem}`;
    assert.deepEqual(
      certificatesIn(text).map(({ subject }) => subject),
      ['CN=leaf', 'CN=middle'],
    );
    assert.deepEqual(certificatesIn(''), []);
  });
});
