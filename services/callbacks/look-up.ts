import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP, type LookupFunction } from 'node:net';

/** Of one name. What has come by then is used, and the rest not waited for. */
const lookUpMs = 5_000;
const tries = { timeout: 1_500, tries: 3 };
const hostsFile = '/etc/hosts';

interface Found {
  address: string;
  family: number;
}

export interface LookUpOptions {
  /** Those of resolv.conf unless given. */
  servers?: string[];
  hostsFile?: string;
}

/**
 * Addresses of a name: those of the hosts file, else of DNS, IPv4 first. The system's own look-up blocks one of the few threads
 * that a process has for all its files and names, as long as a name's servers like; this one blocks none, so names that
 * nobody answers for delay no others. A name is taken as it stands: search domains are not tried.
 */
export function createLookUp({ servers, hostsFile: path = hostsFile }: LookUpOptions = {}): LookupFunction {
  async function find(hostname: string): Promise<Found[]> {
    const name = hostname.toLowerCase().replace(/\.$/, '');
    const hosts = await readHosts(path);
    const known = hosts.get(name);
    if (known) return known;
    // RFC 6761, 6.3: whatever a name server says of them.
    if (/(^|\.)localhost$/.test(name)) return [found('127.0.0.1'), found('::1')];
    return ask(name, servers);
  }

  return (hostname, options, callback) => {
    find(hostname).then(
      (all) => {
        const [first] = all;
        if (options.all) callback(null, all);
        else callback(null, first?.address ?? '', first?.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
}

async function ask(name: string, servers: string[] | undefined): Promise<Found[]> {
  // One for each name: it knows resolv.conf as it is now, and what it asked can be given up.
  const resolver = new Resolver(tries);
  if (servers) resolver.setServers(servers);
  const timer = setTimeout(() => resolver.cancel(), lookUpMs);
  try {
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    const [first] = answers;
    if (addresses.length === 0 && first.status === 'rejected') throw first.reason;
    return addresses.map(found);
  } finally {
    clearTimeout(timer);
  }
}

/** hosts(5): an address, and the names that it has. */
async function readHosts(path: string): Promise<Map<string, Found[]>> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const hosts = new Map<string, Found[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const name of names.map((one) => one.toLowerCase()))
      hosts.set(name, [...(hosts.get(name) ?? []), found(address)]);
  }
  return hosts;
}

function found(address: string): Found {
  return { address, family: isIP(address) };
}
