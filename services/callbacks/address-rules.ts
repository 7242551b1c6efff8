import { BlockList, isIP } from 'node:net';

/** IPv4 networks that are not on the Internet: the IANA special-purpose registry (RFC 6890), multicast and class E. */
const refusedV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // shared with a carrier's NAT
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local: the metadata of clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // relays of 6to4
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
];

/**
 * Of IPv6, only what is given out as global unicast (RFC 4291) is on the Internet. All else is outside of it: loopback, ULA,
 * link-local, multicast, IPv4 mapped (::ffff:0:0/96) and NAT64 (64:ff9b::/96).
 */
const globalV6 = ['2000::/3'];
const refusedV6 = [
  '2001::/23', // protocol assignments: Teredo, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which leads to an IPv4 address
  '3fff::/20', // documentation
];

/** Says whether an IP address may be connected to. */
export type AddressRule = (address: string) => boolean;

/** Every address on the Internet, and those of the operator's own networks that `allowed` lists as CIDRs with commas. */
export function addressRule(allowed: string): AddressRule {
  const own = listOf(parseNetworks(allowed));
  const global = listOf(globalV6);
  const refused = { ipv4: listOf(refusedV4), ipv6: listOf(refusedV6) };
  return (address) => {
    const version = isIP(address);
    if (version === 0) return false;
    if (version === 4) return own.check(address, 'ipv4') || !refused.ipv4.check(address, 'ipv4');
    if (own.check(address, 'ipv6')) return true;
    return global.check(address, 'ipv6') && !refused.ipv6.check(address, 'ipv6');
  };
}

/** Throws on what is no CIDR. */
export function parseNetworks(text: string): string[] {
  const networks = text.split(',').map((part) => part.trim());
  const given = networks.filter((part) => part !== '');
  listOf(given);
  return given;
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [, address = '', bits = ''] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(network) ?? [];
    const version = isIP(address);
    if (version === 0 || Number(bits) > (version === 4 ? 32 : 128))
      throw new Error(`"${network}" is not a network such as 10.0.0.0/8`);
    list.addSubnet(address, Number(bits), version === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
