import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dnsNameOf, localNameOf, namesOf } from '../../../src/guard/tls/names.ts';
import { address, FakeComputer } from './computer.ts';

describe('the names of a certificate', () => {
  it('are every name and address of the computer, sorted and once', () => {
    const computer = new FakeComputer('GPU-Box', '127.0.0.1', '::1', '192.168.1.5', '2001:db8::7', '169.254.3.4');
    assert.deepEqual(namesOf(computer, []), {
      dns: ['gpu-box', 'gpu-box.local', 'localhost'],
      addresses: ['127.0.0.1', '169.254.3.4', '192.168.1.5', '2001:db8::7', '::1'],
    });
  });

  it('are the configured ones too, names and addresses alike', () => {
    const computer = new FakeComputer('gpu', '10.0.0.2');
    assert.deepEqual(namesOf(computer, ['GPU.example.org', 'gpu', '203.0.113.7']), {
      dns: ['gpu', 'gpu.example.org', 'gpu.local', 'localhost'],
      addresses: ['10.0.0.2', '127.0.0.1', '203.0.113.7', '::1'],
    });
  });

  it('leave out addresses that need a zone, and interfaces without any', () => {
    const computer = {
      hostName: () => 'gpu',
      interfaces: () => ({ eth0: [address('fe80::1'), address('febf::1'), address('fec0::1')], eth1: undefined }),
    };
    assert.deepEqual(namesOf(computer, []).addresses, ['127.0.0.1', '::1', 'fec0::1']);
  });

  it('are the same in whatever order the computer tells them', () => {
    const one = namesOf(new FakeComputer('gpu', '10.0.0.2', '10.0.0.1'), ['b.example', 'a.example']);
    assert.deepEqual(one, namesOf(new FakeComputer('gpu', '10.0.0.1', '10.0.0.2'), ['a.example', 'b.example']));
  });

  it('are bounded', () => {
    const many = Array.from({ length: 5_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    assert.equal(namesOf(new FakeComputer('gpu', ...many), []).addresses.length, 1_000);
  });

  const hostNames: readonly (readonly [hostName: string, dns: string | undefined, local: string | undefined])[] = [
    ['gpu', 'gpu', 'gpu.local'],
    ['Mias-MacBook.local', 'mias-macbook.local', 'mias-macbook.local'],
    ['gpu.corp.example.', 'gpu.corp.example', 'gpu.local'],
    ['my_box', 'my_box', 'my_box.local'],
    ['Büro', undefined, undefined],
    ['two words', undefined, undefined],
    ['10.0.0.1', undefined, undefined],
    ['-x', undefined, undefined],
    ['', undefined, undefined],
    ['a'.repeat(64), undefined, undefined],
    ['*.example.org', undefined, undefined],
  ];
  for (const [hostName, dns, local] of hostNames) {
    it(`of a computer called ${JSON.stringify(hostName)}`, () => {
      assert.equal(dnsNameOf(hostName), dns);
      assert.equal(localNameOf(hostName), local);
    });
  }
});
