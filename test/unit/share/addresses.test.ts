import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { describe, it } from 'node:test';
import { shareUrl } from '../../../src/guard/share/address.ts';
import { endpointAddresses, isLinkLocal, mdnsName, type OwnComputer } from '../../../src/guard/share/addresses.ts';

const entry = (address: string, internal = false): NetworkInterfaceInfo => {
  const rest = { address, internal, netmask: '', mac: '', cidr: null };
  return address.includes(':') ? { ...rest, family: 'IPv6', scopeid: 0 } : { ...rest, family: 'IPv4' };
};

const loopback = [entry('127.0.0.1', true), entry('::1', true)];

const own: OwnComputer = {
  hostName: 'Box',
  interfaces: {
    lo: loopback,
    docker0: [entry('172.17.0.1')],
    'br-1f2e': [entry('172.18.0.1'), entry('fd12::1')],
    tailscale0: [entry('100.64.0.7'), entry('fd7a::7')],
    eth0: [entry('fe80::1'), entry('2001:db8::1'), entry('192.0.2.7')],
    wlan0: [entry('169.254.3.4')],
  },
};

describe('the addresses of an endpoint', () => {
  it('are those of every interface and the name, likely best first, when it listens everywhere', () => {
    const listed = endpointAddresses('https://[::]:11435', own);
    assert.deepEqual(
      listed.map(({ interfaceName, url }) => [interfaceName, url]),
      [
        ['eth0', 'https://192.0.2.7:11435'],
        ['eth0', 'https://[2001:db8::1]:11435'],
        ['wlan0', 'https://169.254.3.4:11435'],
        ['tailscale0', 'https://100.64.0.7:11435'],
        ['tailscale0', 'https://[fd7a::7]:11435'],
        ['docker0', 'https://172.17.0.1:11435'],
        ['br-1f2e', 'https://172.18.0.1:11435'],
        ['br-1f2e', 'https://[fd12::1]:11435'],
        ['mDNS', 'https://box.local:11435'],
      ],
    );
    assert.equal(listed[1]?.address, '2001:db8::1');
  });

  it('are IPv4 alone when it listens for IPv4 alone', () => {
    const listed = endpointAddresses('http://0.0.0.0:11435', own);
    assert.deepEqual(
      listed.map(({ address }) => address),
      ['192.0.2.7', '169.254.3.4', '100.64.0.7', '172.17.0.1', '172.18.0.1', 'box.local'],
    );
  });

  it('are the one it listens on, with its interface', () => {
    const one = (host: string) => endpointAddresses(`http://${host}:11435`, own);
    assert.deepEqual(one('192.0.2.7'), [
      { interfaceName: 'eth0', address: '192.0.2.7', url: 'http://192.0.2.7:11435' },
    ]);
    assert.deepEqual(one('[2001:DB8:0::1]'), [
      { interfaceName: 'eth0', address: '2001:db8::1', url: 'http://[2001:db8::1]:11435' },
    ]);
    for (const host of ['127.0.0.1', '127.0.0.2', '[::1]', 'localhost']) {
      assert.equal(one(host)[0].interfaceName, 'lo', host);
      assert.equal(one(host)[0].url, `http://${host}:11435`);
    }
    // Its interface is gone, or it is a name that others give it.
    for (const host of ['192.0.2.9', 'gpu.example.org']) assert.equal(one(host)[0].interfaceName, '', host);
  });

  it('are loopback when there is nothing else', () => {
    for (const host of ['0.0.0.0', '[::]']) {
      assert.deepEqual(endpointAddresses(`http://${host}:1234`, { hostName: 'box', interfaces: { lo: loopback } }), [
        { interfaceName: 'lo', address: '127.0.0.1', url: 'http://127.0.0.1:1234' },
      ]);
    }
  });

  it('are there for this very computer', () => {
    const listed = endpointAddresses('http://[::]:1234');
    for (const { url } of listed) assert.equal(new URL(url).origin, url);
  });
});

describe('the address to hand on', () => {
  it('is the endpoint itself, or the best of this computer when it listens everywhere', () => {
    assert.equal(shareUrl('http://192.0.2.5:11435', own), 'http://192.0.2.5:11435');
    assert.equal(shareUrl('http://0.0.0.0:1234', own), 'http://192.0.2.7:1234');
    const onlyIpv6 = { hostName: 'box', interfaces: { eth0: [entry('fe80::1'), entry('2001:db8::1')] } };
    assert.equal(shareUrl('http://[::]:1234', onlyIpv6), 'http://[2001:db8::1]:1234');
    assert.equal(shareUrl('http://0.0.0.0:1234', onlyIpv6), 'http://127.0.0.1:1234');
  });
});

describe('an address', () => {
  it('is link-local by its range', () => {
    for (const address of ['fe80::1', 'FEBF::1', '169.254.0.1']) assert.equal(isLinkLocal(address), true, address);
    for (const address of ['fec0::1', 'fd00::1', '2001:db8::fe80', '169.25.4.1', '1.169.254.1', 'fe80.example.org'])
      assert.equal(isLinkLocal(address), false, address);
  });

  it('in mDNS is the name of the computer and .local', () => {
    assert.deepEqual(['box', 'BOX.local', 'my-pc', 'box.example.org'].map(mdnsName), [
      'box.local',
      'box.local',
      'my-pc.local',
      'box.local',
    ]);
    for (const name of ['localhost', '', 'x y', '-a']) assert.equal(mdnsName(name), undefined);
  });
});
