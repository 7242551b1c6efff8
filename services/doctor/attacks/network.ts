import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Attack } from './attack.ts';
import { type Ground, saidBy } from './ground.ts';
import { must } from './verdict.ts';

const group = 'network';
const program = 'connect-everywhere.py';

type Found = Record<string, string> & { interfaces: string[] };

/** Every address of the host, with loopback. */
function hostAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  // A link-local address means nothing without its link.
  return all.map(({ address }) => address).filter((address) => !address.startsWith('fe80:'));
}

/** Sockets of the platform, which a sandbox might name by their paths on the host. */
function platformSockets({ platform: { config } }: Ground): string[] {
  const names = ['redis.sock', 'launcher.sock', 'node.sock'];
  return names.map((name) => join(config.runDir, name));
}

function reached(found: Found): string[] {
  return Object.entries(found).flatMap(([name, end]) => (end === 'OK' ? [name] : []));
}

async function tryAll(ground: Ground, targets: object): Promise<Found> {
  return saidBy<Found>(await ground.program(program, { args: [JSON.stringify(targets)] }));
}

async function tryOutside({ outside }: Ground, targets: object): Promise<Found> {
  const ran = await outside.python(program, {
    args: [JSON.stringify(targets)],
    isApart: false,
  });
  return saidBy<Found>(ran.stdout);
}

const platform: Attack = {
  id: 'network-platform',
  group,
  title: "the gateway on every address of the host, Redis, the launcher's and the node's socket",
  must: 'unreachable',
  async attack(ground) {
    const port = Number(new URL(ground.url).port);
    const addresses = ['127.0.0.1', '::1', '0.0.0.0', 'localhost', ...hostAddresses()];
    const tcp = addresses.flatMap((host) => [
      [host, port],
      [host, 6379],
      [host, 22],
    ]);
    const found = await tryAll(ground, { tcp, unix: platformSockets(ground) });
    must(reached(found).length === 0, 'reached', reached(found));
  },
  async control(ground) {
    const port = Number(new URL(ground.url).port);
    const found = await tryOutside(ground, { tcp: [['127.0.0.1', port]], unix: platformSockets(ground) });
    must(reached(found).length === 4, 'not reached from the host', found);
  },
};

const listening: Attack = {
  id: 'network-host-listeners',
  group,
  title: 'servers that listen on the host: TCP on all addresses, an abstract Unix socket',
  must: 'unreachable: nobody comes',
  async attack(ground) {
    await withListeners(async (targets, visitors) => {
      const found = await tryAll(ground, targets);
      must(reached(found).length === 0 && visitors() === 0, 'reached', [reached(found), visitors()]);
    });
  },
  async control(ground) {
    await withListeners(async (targets, visitors) => {
      const found = await tryOutside(ground, targets);
      const all = stillThere(targets.tcp).length + targets.abstract.length;
      must(reached(found).length >= all, 'not reached from the host', found);
      // Who was let in by the kernel is seen a moment later.
      const deadline = performance.now() + ground.netMs;
      while (visitors() < all && performance.now() < deadline) await delay(20);
      must(visitors() >= all, 'nobody came', visitors());
    });
  },
};

interface Listeners {
  tcp: [string, number][];
  abstract: string[];
}

/** Others on this machine have networks of their own, which come and go. */
function stillThere(tcp: Listeners['tcp']): Listeners['tcp'] {
  return tcp.filter(([host]) => hostAddresses().includes(host));
}

async function withListeners(
  work: (targets: Listeners, visitors: () => number) => Promise<void>,
): Promise<void> {
  let visitors = 0;
  const abstract = `oncebox-attacks-${process.pid}`;
  const open = async (where: string | number): Promise<Server> => {
    const server = createServer((socket) => {
      visitors += 1;
      socket.on('error', () => {});
      socket.end();
    });
    if (typeof where === 'number') server.listen(where, '0.0.0.0');
    else server.listen(where);
    await once(server, 'listening');
    return server;
  };
  const [tcp, unix] = [await open(0), await open(`\0${abstract}`)];
  try {
    const address = tcp.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const hosts = hostAddresses().filter((host) => !host.includes(':'));
    await work({ tcp: hosts.map((host) => [host, port]), abstract: [abstract] }, () => visitors);
  } finally {
    for (const server of [tcp, unix]) server.close();
  }
}

const metadata: Attack = {
  id: 'network-metadata',
  group,
  title: 'metadata addresses, private networks, the internet, by IPv4 and IPv6; DNS',
  must: 'unreachable',
  async attack(ground) {
    const found = await tryAll(ground, {
      tcp: [
        ...['169.254.169.254', '169.254.170.2', '100.100.100.200', 'fd00:ec2::254'].map((host) => [host, 80]),
        ...['10.0.0.1', '172.17.0.1', '192.168.0.1', '192.168.1.1', '8.8.8.8', '1.1.1.1'].map((host) => [
          host,
          80,
        ]),
        ...['2001:4860:4860::8888', '2606:4700:4700::1111', 'fe80::1', 'ff02::1'].map((host) => [host, 80]),
      ],
      dns: ['8.8.8.8', '1.1.1.1', '127.0.0.53', '127.0.0.1', '169.254.169.253', '2001:4860:4860::8888'],
      names: ['example.com', 'metadata.google.internal', 'redis', 'host.docker.internal'],
      udp: [
        ['255.255.255.255', 9],
        ['224.0.0.1', 9],
        ['169.254.169.254', 80],
      ],
    });
    must(reached(found).length === 0, 'reached', reached(found));
  },
  // The network outside may be none: what must succeed is the act, on an address that is there.
  async control(ground) {
    await withListeners(async ({ tcp }) => {
      const found = await tryOutside(ground, { tcp, names: ['localhost'] });
      must(reached(found).length >= stillThere(tcp).length + 1, 'not reached from the host', found);
    });
  },
};

const raw: Attack = {
  id: 'network-raw',
  group,
  title: 'raw and packet sockets, vsock, 40 families of sockets more, changes of links by netlink',
  must: 'refused; the only interface is loopback',
  async attack(ground) {
    const found = await tryAll(ground, { raw: true });
    const { interfaces } = found;
    must(interfaces.join() === 'lo', 'there are more interfaces', interfaces);
    const had = reached(found).filter((name) => name !== 'ping');
    must(had.length === 0, 'allowed', had);
  },
  async control({ outside }) {
    const found = saidBy<Found>((await outside.python(program, { args: ['{"raw": true}'] })).stdout);
    for (const name of ['raw icmp', 'packet', 'netlink change'])
      must(found[name] === 'OK', 'root outside is refused', found);
  },
};

export const networkAttacks: readonly Attack[] = [platform, listening, metadata, raw];
