import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { maxZones, ownIdBase, ownIdStride, sandboxIdBase, sandboxIdCount } from '../../runtime/image/ids.ts';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { type RunReport, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { maxSandboxes } from '../../runtime/zygote/protocol.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { descendants } from '../support/host.ts';
import { patientLimits } from '../support/limits.ts';
import { storeDir, useZones } from '../support/zones.ts';

const { park, socket, launcherPid } = useZones();

async function hostUid(pid: number): Promise<number> {
  return Number(/^Uid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

test('two sandboxes that are the first of their zones have different ids on the host', async () => {
  const sandboxes = [await park('python'), await park('bash')];
  const pids = (await descendants(launcherPid())).map(Number);
  const maps = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/uid_map`, 'utf8')));
  const zones = new Set(
    maps
      .map((map) =>
        map
          .trim()
          .split('\n')
          .map((line) => line.trim().split(/\s+/).map(Number)),
      )
      .map((rows) => JSON.stringify(rows)),
  );
  expect(zones.size).toBe(2);
  const owns = [...zones]
    .map((text) => JSON.parse(text) as number[][])
    .map(([shared, own, ...rest]) => {
      expect(shared).toEqual([0, sandboxIdBase, sandboxIdCount + 1]);
      expect(rest).toEqual([]);
      expect(own?.[2]).toBe(maxSandboxes + 1);
      return own?.[1] as number;
    });
  expect(Math.abs((owns[0] as number) - (owns[1] as number)) % ownIdStride).toBe(0);
  expect(owns[0]).not.toBe(owns[1]);
  for (const own of owns) {
    expect(own).toBeGreaterThanOrEqual(ownIdBase);
    expect(own).toBeLessThan(ownIdBase + maxZones * ownIdStride);
  }
  // Agents, zygotes and inits are their zones' administrators; above are the users of the sandboxes.
  const uids = await Promise.all(pids.map(hostUid));
  const users = uids.filter((uid) => !owns.includes(uid));
  expect(users).toHaveLength(2);
  expect(new Set(users).size).toBe(2);
  await Promise.all(sandboxes.map((sandbox) => sandbox.kill()));
});

test('what one sandbox uses up of its per-user accounts, one of another zone still has', async () => {
  // Bytes in pipes beyond /proc/sys/fs/pipe-user-pages-soft make every new pipe of that user a small one.
  const sizes = `import fcntl, os, time
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
def size():
    ends = os.pipe()
    return fcntl.fcntl(ends[0], F_GETPIPE_SZ), ends
kept = []`;
  const greedy = `${sizes}
while True:
    kept.append(size()[1])
    try: fcntl.fcntl(kept[-1][1], F_SETPIPE_SZ, 1 << 20)
    except PermissionError: break
# What was too little for a large one may do for some of the usual size.
while True:
    got, ends = size()
    kept.append(ends)
    if got < 65536 or len(kept) > 400: break
print(got, flush=True)
time.sleep(600)`;
  const program = (content: string): Program => ({
    kind: 'snippet',
    files: [{ path: 'main.py', content, encoding: 'utf8' }],
    entry: 'main.py',
    args: [],
    env: {},
  });
  const limits = patientLimits({ wallMs: 600_000 });
  const { layers } = await openStore(storeDir).resolve('python');
  const zone = await openZone({
    launcherSocket: socket(),
    interpreter: 'python',
    layers,
    searchPath: defaultSearchPath,
  });
  const [first, other] = [await park('python'), await zone.create(scratchSpec(layers))];
  let running!: Promise<RunReport>;
  await new Promise<void>((hasTakenAll, reject) => {
    running = first.run({
      program: program(greedy),
      limits,
      stdin: Buffer.alloc(0),
      onOutput: () => hasTakenAll(),
    });
    running.then(() => reject(new Error('it ended before it had taken all')), reject);
  });
  const { stdout } = await other.run({
    program: program(`${sizes}\nprint(size()[0])`),
    limits,
    stdin: Buffer.alloc(0),
  });
  expect(Buffer.from(stdout).toString()).toBe('65536\n');
  await first.kill();
  expect(Buffer.from((await running).stdout).toString()).toBe('8192\n'); // the control: there was no more of it
  await zone.close();
});
