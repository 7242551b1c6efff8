import { expect, test } from 'vitest';
import { addressRule, parseNetworks } from '../../services/callbacks/address-rules.ts';

const isAllowed = addressRule('');

test.each([
  ['this network', '0.0.0.0'],
  ['this network', '0.1.2.3'],
  ['private', '10.0.0.1'],
  ['private', '172.16.0.1'],
  ['private', '172.31.255.255'],
  ['private', '192.168.1.1'],
  ['shared by a carrier', '100.64.0.1'],
  ['shared by a carrier', '100.127.255.255'],
  ['loopback', '127.0.0.1'],
  ['loopback', '127.255.255.254'],
  ['the metadata of a cloud', '169.254.169.254'],
  ['protocol assignments', '192.0.0.8'],
  ['documentation', '192.0.2.1'],
  ['documentation', '198.51.100.1'],
  ['documentation', '203.0.113.1'],
  ['a relay of 6to4', '192.88.99.1'],
  ['benchmarks', '198.18.0.1'],
  ['multicast', '224.0.0.1'],
  ['reserved', '240.0.0.1'],
  ['broadcast', '255.255.255.255'],
  ['unspecified', '::'],
  ['loopback', '::1'],
  ['IPv4, mapped, private', '::ffff:10.0.0.1'],
  ['IPv4, mapped, in hex', '::ffff:7f00:1'],
  ['IPv4, mapped, global', '::ffff:8.8.8.8'],
  ['IPv4, compatible', '::7f00:1'],
  ['NAT64', '64:ff9b::7f00:1'],
  ['NAT64, local', '64:ff9b:1::1'],
  ['6to4', '2002:7f00:1::1'],
  ['Teredo', '2001:0:4136:e378::1'],
  ['documentation', '2001:db8::1'],
  ['documentation', '3fff::1'],
  ['ULA', 'fd00::1'],
  ['link-local', 'fe80::1'],
  ['link-local, with a zone', 'fe80::1%eth0'],
  ['site-local', 'fec0::1'],
  ['multicast', 'ff02::1'],
  ['discard', '100::1'],
  ['no address', 'localhost'],
  ['no address', ''],
])('%s is not on the Internet: %s', (_, address) => {
  expect(isAllowed(address)).toBe(false);
});

test.each([
  '8.8.8.8',
  '1.1.1.1',
  '100.128.0.1',
  '172.32.0.1',
  '192.0.1.1',
  '2606:4700:4700::1111',
  '2a00::1',
])('%s is on the Internet', (address) => {
  expect(isAllowed(address)).toBe(true);
});

test('an operator’s own networks are allowed, and no others', () => {
  const withOwn = addressRule('10.1.0.0/16, fd00:1::/32');
  expect(['10.1.2.3', 'fd00:1::2', '8.8.8.8'].map(withOwn)).toEqual([true, true, true]);
  expect(['10.2.0.1', 'fd00:2::1', '127.0.0.1', '::1'].map(withOwn)).toEqual([false, false, false, false]);
});

test.each(['10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'example.com/8', '10.0.0.0/8;::/0', '/8'])(
  '"%s" is no list of networks',
  (text) => {
    expect(() => parseNetworks(text)).toThrow(/is not a network/);
  },
);
