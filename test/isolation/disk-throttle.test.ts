import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { descendants, onceboxCgroups } from '../support/host.ts';
import { startLauncher, type TestLauncher } from '../support/launcher.ts';
import { patientLimits } from '../support/limits.ts';
import { storeDir } from '../support/zones.ts';

const bytesPerSecond = 2 * 1024 * 1024;
let directory: string;
let launcher: TestLauncher;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oncebox-test-throttle-'));
  const layers = join(storeDir, 'layers');
  launcher = await startLauncher(directory, layers, 0, {
    options: ['--io-bytes-per-second', `${bytesPerSecond}`],
  });
});
afterAll(async () => {
  await launcher.stop();
  await rm(directory, { recursive: true });
});

/** Reads the first four megabytes of the largest library past the page cache, and prints the seconds that took. */
const readDirectly = `import glob, mmap, os, time
path = max(glob.glob('/usr/lib/**/*.so*', recursive=True), key=os.path.getsize)
fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
page, begun, total = mmap.mmap(-1, 1 << 18), time.monotonic(), 0
while total < 4 << 20:
    got = os.preadv(fd, [page], total % (os.path.getsize(path) & ~0x3ffff))
    if got == 0: break
    total += got
print(total, time.monotonic() - begun)`;

test("what a zone's sandboxes read of the disk a second is capped for the zone as a whole", async (context) => {
  const { layers } = await openStore(storeDir).resolve('python');
  const zone = await openZone({
    launcherSocket: launcher.socket,
    interpreter: 'python',
    layers,
    searchPath: defaultSearchPath,
  });
  const zones = (await onceboxCgroups()).filter((path) => path.endsWith(`/${launcher.instance}/zone1`));
  const throttled = await Promise.all(
    zones.map(async (path) => {
      const v1 = await readFile(join(path, 'blkio.throttle.read_bps_device'), 'utf8').catch(() => '');
      return v1 || (await readFile(join(path, 'io.max'), 'utf8').catch(() => ''));
    }),
  );
  const caps = throttled.filter((text) => text !== '');
  if (caps.length === 0 && process.env.ONCEBOX_MUST_WORK !== '1') {
    await zone.close();
    context.skip('this host throttles no disk: no blkio or io controller');
  }
  expect(caps).toEqual([expect.stringContaining(`${bytesPerSecond}`)]);
  // Everything in the zone is in it, sandboxes too.
  const sandbox = await zone.create(scratchSpec(layers));
  const pids = await descendants(launcher.pid);
  const memberships = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cgroup`, 'utf8')));
  for (const membership of memberships) expect(membership).toMatch(/^(\d+:blkio|0:):\/oncebox\/.*zone1/m);
  const program = {
    kind: 'snippet' as const,
    files: [{ path: 'main.py', content: readDirectly, encoding: 'utf8' as const }],
    entry: 'main.py',
    args: [],
    env: {},
  };
  const limits = patientLimits({ wallMs: 150_000 });
  const report = await sandbox.run({ program, limits, stdin: Buffer.alloc(0) });
  const [bytes, seconds] = Buffer.from(report.stdout).toString().split(' ').map(Number);
  expect(bytes).toBe(4 * 1024 * 1024);
  expect(seconds).toBeGreaterThan(1.5);
  await zone.close();
});

test('the directories of a throttled zone go with it', async () => {
  await expect
    .poll(
      async () => (await onceboxCgroups()).filter((path) => path.includes(`/${launcher.instance}/zone1`)),
      { timeout: 60_000 },
    )
    .toEqual([]);
});
