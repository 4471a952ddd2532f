import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isTimely, readSignature, verifySignature } from '../../../src/guard/identity/signature.ts';
import { type CliKey, createCliKey, signed, wireString } from '../../support/ollamaCli.ts';

const key = createCliKey();
const method = 'GET';
const target = '/api/tags?ts=1767225600';
const authorization = signed(key, `${method},${target}`);
const [blob = '', signature = ''] = authorization.split(':');

/** Whether a request would be taken for signed, and by whom its header says it is. */
const isGood = (header: string, ...[asMethod, asTarget]: [string, string]) => {
  const read = readSignature(header, asMethod, asTarget);
  return read !== undefined && verifySignature(read);
};

describe('a signature of the ollama command line', () => {
  it('is read and holds', () => {
    const read = readSignature(authorization, method, target);
    assert.ok(read);
    assert.deepEqual([read.publicKey, read.text, read.at], [key.blob, 'GET,/api/tags?ts=1767225600', 1_767_225_600]);
    assert.equal(verifySignature(read), true);
  });

  it('holds for any method, path and second that it is of, and for no other', () => {
    const path = fc.constantFrom('/', '/api/tags', '/api/chat', `/api/blobs/sha256:${'a'.repeat(64)}`);
    const request = fc.tuple(fc.constantFrom('HEAD', 'GET', 'POST', 'DELETE'), path, fc.nat(2 ** 31));
    const textOf = ([, at, ts]: readonly [string, string, number]) => `${at}?ts=${ts}`;
    fc.assert(
      fc.property(request, request, (one, other) => {
        const header = signed(key, `${one[0]},${textOf(one)}`);
        assert.equal(isGood(header, one[0], textOf(one)), true);
        const isSame = one.join() === other.join();
        assert.equal(isGood(header, other[0], textOf(other)), isSame);
      }),
    );
  });

  it('fails for another method, path or second', () => {
    for (const [asMethod, asTarget] of [
      ['POST', target],
      ['get', target],
      ['GET', '/api/ps?ts=1767225600'],
      ['GET', '/api/tags?ts=1767225601'],
      ['GET', '/api/tags/?ts=1767225600'],
    ] as const) {
      assert.equal(isGood(authorization, asMethod, asTarget), false, `${asMethod} ${asTarget}`);
    }
  });

  it('is of a path in its plain form, with the time as its only query, also where just that was signed', () => {
    for (const asTarget of [
      '/api/tags',
      '/api/tags?',
      '/api/tags?ts=',
      '/api/tags?ts=now',
      '/api/tags?ts=-1',
      '/api/tags?ts=1e9',
      '/api/tags?ts=1767225600.5',
      '/api/tags?ts=1767225600&model=other',
      '/api/tags?model=other&ts=1767225600',
      '/api/tags?ts=1767225600&ts=1767225601',
      '/api/tags?TS=1767225600',
      '/api/tags?ts=1767225600#',
      '/api/tags?ts=1767225600%20',
      '/api/tags??ts=1767225600',
      '/api/%74ags?ts=1767225600',
      '/api/../api/tags?ts=1767225600',
      '//api/tags?ts=1767225600',
      'http://127.0.0.1/api/tags?ts=1767225600',
      `/api/tags?ts=${'1'.repeat(400)}`,
    ]) {
      assert.equal(readSignature(signed(key, `GET,${asTarget}`), 'GET', asTarget), undefined, asTarget);
    }
  });

  it('has a key in the one wire format, and a signature of 64 bytes', () => {
    const bytes = Buffer.from(key.blob, 'base64').subarray(-32);
    const join = (...parts: readonly Buffer[]) => Buffer.concat(parts).toString('base64');
    const longer = Buffer.from(key.blob, 'base64');
    longer.writeUInt8(33, 18);
    const keys = {
      'bytes after the key': join(wireString('ssh-ed25519'), wireString(bytes), Buffer.from([0])),
      'a string after the key': join(wireString('ssh-ed25519'), wireString(bytes), wireString('x')),
      'a key of 31 bytes': join(wireString('ssh-ed25519'), wireString(bytes.subarray(1))),
      'a key of 33 bytes': join(wireString('ssh-ed25519'), wireString(Buffer.concat([bytes, Buffer.from([0])]))),
      'a length of 33 and 32 bytes': longer.toString('base64'),
      'a type in upper case': join(wireString('SSH-ED25519'), wireString(bytes)),
      'a type of another curve': join(wireString('ssh-ed448'), wireString(bytes)),
      'a certificate': join(wireString('ssh-ed25519-cert-v01@openssh.com'), wireString(bytes)),
      RSA: rsaBlob(),
      'no type': join(wireString(bytes)),
      base64url: key.blob.replaceAll('+', '-').replaceAll('/', '_').replace(/.$/, '-'),
      padding: `${key.blob}=`,
      nothing: '',
    };
    for (const [what, other] of Object.entries(keys)) {
      assert.equal(readSignature(`${other}:${signature}`, method, target), undefined, what);
    }
    const raw = Buffer.from(signature, 'base64');
    const signatures = {
      '63 bytes': raw.subarray(1).toString('base64'),
      '65 bytes': Buffer.concat([raw, Buffer.from([0])]).toString('base64'),
      'no padding': signature.replace(/=+$/, ''),
      'a space': `${signature} `,
      'a line break': `${signature}\n`,
      'bits that base64 drops': signature.replace(/[AQgw]==$/, 'B=='),
      'a second one': `${signature}:${signature}`,
      nothing: '',
    };
    for (const [what, other] of Object.entries(signatures)) {
      assert.equal(readSignature(`${blob}:${other}`, method, target), undefined, what);
    }
    assert.equal(readSignature(`Bearer ${authorization}`, method, target), undefined);
  });

  it('of another key, or with any bit changed, does not hold', () => {
    assert.equal(isGood(`${createCliKey().blob}:${signature}`, method, target), false);
    const raw = Buffer.from(signature, 'base64');
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const changed = Buffer.from(raw);
        changed.writeUInt8((changed[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
        assert.equal(isGood(`${blob}:${changed.toString('base64')}`, method, target), false);
      }),
    );
  });

  it('may name any 32 bytes as its key: those that are none verify nothing, and nothing is thrown', () => {
    const anyKey = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(anyKey, (bytes) => {
        const other = Buffer.concat([wireString('ssh-ed25519'), wireString(Buffer.from(bytes))]).toString('base64');
        assert.equal(isGood(`${other}:${signature}`, method, target), false);
      }),
    );
  });

  it('is good for a minute before and after', () => {
    const at = 1_767_225_600;
    const signedThen = { ...read(key), at };
    const cases = [
      [-60_001, false],
      [-60_000, true],
      [0, true],
      [60_000, true],
      [60_001, false],
      [Number.NaN, false],
    ] as const;
    for (const [after, timely] of cases) assert.equal(isTimely(signedThen, at * 1_000 + after), timely, `${after}`);
  });
});

function read(by: CliKey) {
  const found = readSignature(signed(by, `${method},${target}`), method, target);
  assert.ok(found);
  return found;
}

function rsaBlob(): string {
  const { n = '', e = '' } = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' });
  const parts = ['ssh-rsa', Buffer.from(e, 'base64url'), Buffer.from(n, 'base64url')];
  return Buffer.concat(parts.map((part) => wireString(part))).toString('base64');
}
