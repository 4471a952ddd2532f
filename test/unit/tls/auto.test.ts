import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { GuardError } from '../../../src/guard/errors.ts';
import { openAuto } from '../../../src/guard/tls/auto.ts';
import { type Certificate, describeTls } from '../../../src/guard/tls/certificate.ts';
import { createMemoryVault, type Vault } from '../../../src/guard/tls/vault.ts';
import { FakeComputer } from './computer.ts';
import { Looks, SourceWitness } from './witness.ts';

const dayMs = 86_400_000;
const leavesOut =
  "The endpoint's certificate leaves out {names}: this computer's certificate authority was made without. Use an address or {local} instead, or the TLS mode files or acme.";

const namesIn = ({ chain }: Certificate): string => new X509Certificate(chain).subjectAltName ?? '';
const validFrom = ({ chain }: Certificate): number => new X509Certificate(chain).validFromDate.getTime();
const anchorOf = (certificate: Certificate) => describeTls('auto', certificate, undefined).anchor;

async function open(t: TestContext, witness = new SourceWitness(), looks = new Looks(t)) {
  const computer = new FakeComputer('gpu', '10.0.0.2');
  const source = await openAuto({ mode: 'auto' }, witness.ports, computer);
  t.after(() => source.close());
  return { looks, source, witness, computer };
}

describe('the certificate of mode auto', () => {
  it('is for every name and address, and the same as long as nothing changes', async (t) => {
    const { source, witness, looks } = await open(t);
    const expected = 'DNS:gpu, DNS:gpu.local, DNS:localhost, IP Address:10.0.0.2, IP Address:127.0.0.1, ';
    assert.equal(namesIn(source.certificate), `${expected}IP Address:0:0:0:0:0:0:0:1`);
    await looks.next();
    await looks.next();
    assert.deepEqual([witness.certificates, witness.problems], [[], []]);
  });

  it('is another at the first look after an address changed, of the same authority and key', async (t) => {
    const { source, witness, computer, looks } = await open(t);
    computer.addresses = ['192.168.1.5', '2001:db8::7'];
    await looks.next();
    const [newer] = witness.certificates;
    assert.ok(newer !== undefined && witness.certificates.length === 1);
    assert.match(namesIn(newer), /IP Address:192\.168\.1\.5, IP Address:2001:DB8:0:0:0:0:0:7/);
    assert.doesNotMatch(namesIn(newer), /10\.0\.0\.2/);
    assert.equal(newer.key, source.certificate.key);
    assert.deepEqual(anchorOf(newer), anchorOf(source.certificate));
    await looks.next();
    assert.equal(witness.certificates.length, 1);
  });

  it('is renewed when a third of its life is left', async (t) => {
    const { source, witness, looks } = await open(t);
    const begin = validFrom(source.certificate);
    const lifeMs = new X509Certificate(source.certificate.chain).validToDate.getTime() - begin;
    witness.now = begin + (2 * lifeMs) / 3 - 1;
    await looks.next();
    assert.equal(witness.certificates.length, 0);
    witness.now += 1;
    await looks.next();
    assert.equal(witness.certificates.length, 1);
    await looks.next();
    assert.equal(witness.certificates.length, 1);
  });

  it('is made anew when the clock was ahead', async (t) => {
    const { witness, looks } = await open(t);
    witness.now -= 2 * 3_600_000;
    await looks.next();
    const [newer] = witness.certificates;
    assert.ok(newer !== undefined && validFrom(newer) <= witness.now);
    await looks.next();
    assert.equal(witness.certificates.length, 1);
  });

  it('is of a new authority when the one before ends', async (t) => {
    const { source, witness, looks } = await open(t);
    await looks.next();
    witness.now += 5 * 365 * dayMs;
    await looks.next();
    const [newer] = witness.certificates;
    assert.ok(newer);
    assert.notDeepEqual(anchorOf(newer), anchorOf(source.certificate));
    assert.notEqual(newer.key, source.certificate.key);
  });

  it('leaves out what the authority does not permit, and says so until that is over', async (t) => {
    const { witness, computer, looks } = await open(t);
    computer.name = 'renamed';
    await looks.next();
    assert.doesNotMatch(namesIn(witness.certificates[0] as Certificate), /DNS:renamed,/);
    assert.match(namesIn(witness.certificates[0] as Certificate), /DNS:renamed\.local/);
    await looks.next();
    computer.name = 'gpu';
    await looks.next();
    assert.deepEqual(witness.problems, [leavesOut, undefined]);
  });

  it('says so from the start, too', async (t) => {
    const { witness, looks } = await open(t);
    const later = new SourceWitness(witness.vault, ['gpu.example.org']);
    const { source } = await open(t, later, looks);
    assert.deepEqual(later.problems, [leavesOut]);
    assert.doesNotMatch(namesIn(source.certificate), /example/);
  });

  it('is of one authority in the end, when two processes made one at the same time', async (t) => {
    const stored = createMemoryVault();
    // Everybody reads before anybody has written, and reads back before anybody else has.
    const racing = (): Vault => {
      let own: string | undefined;
      let settled = false;
      return {
        read: async (entry) => {
          if (settled) return stored.read(entry);
          settled = own !== undefined;
          return own;
        },
        write: async (entry, text) => {
          own = text;
          await stored.write(entry, text);
        },
      };
    };
    const one = await open(t, new SourceWitness(racing()));
    const other = await open(t, new SourceWitness(racing()), one.looks);
    assert.notDeepEqual(anchorOf(one.source.certificate), anchorOf(other.source.certificate));
    await one.looks.next();
    await one.looks.next();
    assert.deepEqual(other.witness.certificates, []);
    assert.deepEqual(one.witness.certificates.map(anchorOf), [anchorOf(other.source.certificate)]);
  });

  it('goes on being served while the vault fails, which is told', async (t) => {
    const vault = createMemoryVault();
    let broken = false;
    const witness = new SourceWitness({
      read: (entry) => (broken ? Promise.reject(new GuardError('data-unavailable', 'locked')) : vault.read(entry)),
      write: vault.write,
    });
    const { looks } = await open(t, witness);
    broken = true;
    await looks.next();
    await looks.next();
    assert.deepEqual([witness.certificates, witness.problems], [[], ['locked']]);
    broken = false;
    await looks.next();
    assert.deepEqual([witness.certificates, witness.problems], [[], ['locked', undefined]]);
  });

  it('tells of an error nobody foresaw, and tries again', async (t) => {
    const { witness, computer, looks } = await open(t);
    const { interfaces } = FakeComputer.prototype;
    computer.interfaces = () => {
      throw new Error('no interfaces');
    };
    await looks.next();
    computer.interfaces = interfaces;
    await looks.next();
    assert.deepEqual(witness.problems, ['No newer certificate could be made: {reason}', undefined]);
  });

  it('is looked after no more once it is closed', async (t) => {
    const { source, witness, computer, looks } = await open(t);
    computer.name = 'renamed';
    looks.begin();
    source.close();
    // A look under way comes to its end, tells of no problem, and is the last.
    while (witness.certificates.length === 0) await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.deepEqual([looks.due, witness.problems], [0, []]);
  });

  it('is none when the authority cannot be had', async () => {
    const failing = new GuardError('data-unavailable', 'locked');
    const { ports } = new SourceWitness({ read: () => Promise.reject(failing), write: async () => undefined });
    await assert.rejects(openAuto({ mode: 'auto' }, ports), failing);
  });
});
