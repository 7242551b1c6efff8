import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { openSandboxSource, type SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { descendants, onceboxCgroups } from '../support/host.ts';
import { patientLimits } from '../support/limits.ts';
import { storeDir, useZones } from '../support/zones.ts';

const zones = useZones();
const forksMax = 40;
const errors: unknown[] = [];
let source: SandboxSource;
let request: (runtime: 'node' | 'python') => Parameters<SandboxSource['lease']>[0];

beforeAll(async () => {
  const store = openStore(storeDir);
  const imageOf = async (runtime: string) => ({
    ...(await store.resolve(runtime)),
    searchPath: defaultSearchPath,
  });
  const images = {
    node: await imageOf('node'),
    python: await imageOf('python'),
    bash: await imageOf('bash'),
  };
  request = (runtime) => ({ runtime, image: images[runtime], spec: scratchSpec(images[runtime].layers) });
  source = await openSandboxSource({
    openZone: (zone) => openZone({ launcherSocket: zones.socket(), ...zone }),
    images,
    targets: { node: 2, python: 2, bash: 0 },
    functionTarget: 0,
    functionIdleMs: 60_000,
    rotation: { forksMax, ageMs: 3_600_000 },
    onError: (error) => errors.push(error),
  });
});
afterAll(() => source?.close());

/** Where the interpreter and its heap lie, as a snippet sees it of itself. */
const layoutOf = {
  node: {
    path: 'index.js',
    content: `const maps = require('node:fs').readFileSync('/proc/self/maps', 'utf8').split('\\n');
      console.log(maps.find((line) => line.endsWith('/libc.so.6')).split('-')[0], maps.find((line) => line.endsWith('[heap]')).split('-')[0]);`,
  },
  python: {
    path: 'main.py',
    content: `maps = open('/proc/self/maps').read().split('\\n')
print(next(l for l in maps if l.endswith('/libc.so.6')).split('-')[0], next(l for l in maps if l.endswith('[heap]')).split('-')[0])`,
  },
};

async function call(runtime: 'node' | 'python') {
  const { sandbox, start } = await source.lease(request(runtime));
  const { path, content } = layoutOf[runtime];
  const { stdout, stderr } = await sandbox.run({
    program: {
      kind: 'snippet',
      files: [{ path, content, encoding: 'utf8' }],
      entry: path,
      args: [],
      env: {},
    },
    limits: patientLimits(),
    stdin: new Uint8Array(),
  });
  expect(Buffer.from(stderr).toString()).toBe('');
  return { layout: Buffer.from(stdout).toString(), start };
}

async function zygotePids(runtime: 'node' | 'python'): Promise<number[]> {
  const found = [];
  for (const pid of await descendants(zones.launcherPid())) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (/NSpid:\t\d+\t299\n/.test(status) && command.includes(runtime === 'node' ? '.cjs' : '.py'))
      found.push(pid);
  }
  return found;
}

/** Directories of zones: the instance's, then one for each. */
const zoneCgroups = async () =>
  (await onceboxCgroups()).filter((path) => path.includes(`/test-${process.pid}-`) && /\/zone\d+$/.test(path))
    .length;

test.each(['node', 'python'] as const)(
  'under a stream of calls %s zygotes are replaced: no call fails or waits for a boot, and addresses change',
  async (runtime) => {
    const before = await zygotePids(runtime);
    expect(before).toHaveLength(1);
    const cgroups = await zoneCgroups();
    expect(cgroups).toBeGreaterThan(0);
    const same = await Promise.all(Array.from({ length: 6 }, () => call(runtime)));
    const [first] = same;
    expect(new Set(same.map(({ layout }) => layout)).size, 'the control: siblings share the layout').toBe(1);
    let calls = same.length;
    const layouts = new Set<string>();
    const stream = async () => {
      while (layouts.size < 3) {
        calls += 1;
        const { layout, start } = await call(runtime);
        expect(start).not.toBe('cold');
        layouts.add(layout);
      }
    };
    await Promise.all(Array.from({ length: 4 }, stream));
    expect(layouts.size, 'one a zygote').toBeLessThan(calls / 10);
    expect([...layouts]).toContain(first?.layout);
    await vi.waitFor(async () => {
      const now = await zygotePids(runtime);
      expect(now).toHaveLength(1);
      expect(now).not.toEqual(before);
      expect(await zoneCgroups()).toBe(cgroups);
      expect((await source.stats()).groups[runtime].zonesRetired).toBe(0);
    }, 60_000);
    const { zoneRotations, coldLeases, zygoteMemoryBytes, sandboxesCreated } = (await source.stats()).groups[
      runtime
    ];
    expect(zoneRotations).toBeGreaterThanOrEqual(2);
    expect(coldLeases).toBe(0);
    expect(zygoteMemoryBytes).toBeGreaterThan(2 ** 20);
    expect(sandboxesCreated).toBeGreaterThanOrEqual(calls);
    expect(errors).toEqual([]);
  },
);
