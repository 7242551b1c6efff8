import { expect, test, vi } from 'vitest';
import { zoneProcesses } from '../../loadtest/machine/instance.ts';
import { netMs, useFaultyPlatform } from './use-platform.ts';

const used = useFaultyPlatform();
type Processes = Awaited<ReturnType<typeof zoneProcesses>>;

async function untilGone(processes: Processes): Promise<void> {
  await vi.waitFor(
    async () => {
      const now = new Set((await zoneProcesses(used.platform.config.instance)).map(({ pid }) => pid));
      expect(processes.filter(({ pid }) => now.has(pid))).toEqual([]);
    },
    { timeout: netMs, interval: 10 },
  );
}

const limits = { wallMs: 600_000, cpuMs: 600_000 };
const forever = { runtime: 'python', code: 'while True: pass', limits } as const;

/** False where it has gone. */
function stop(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGSTOP');
  } catch {
    return false;
  }
}

test('with the launcher its zones end, what ran in them is lost, and the next one serves', async () => {
  const id = await used.start(forever);
  const zones = await zoneProcesses(used.platform.config.instance);
  used.kill('launcher');
  expect(await used.finished(id)).toMatchObject({
    outcome: { status: 'lost', reason: 'the zone is gone' },
  });
  await untilGone(zones);
  await used.serves();
});

test('what comes while there is no launcher waits for it', async () => {
  const zones = await zoneProcesses(used.platform.config.instance);
  used.kill('launcher');
  // What is parked in them is as good as gone, and for a moment may still be taken.
  await untilGone(zones);
  const runs = ['echo 1', 'echo 2', 'echo 3'].map((code) => used.client.run({ runtime: 'bash', code }));
  const outcomes = (await Promise.all(runs)).map(({ outcome }) => outcome?.status);
  expect(outcomes).toEqual(['ok', 'ok', 'ok']);
});

test('an agent that stands still when its launcher is killed is ended all the same', async () => {
  const agents = (await zoneProcesses(used.platform.config.instance)).filter(({ name }) => name === 'agent');
  // Some are forks that end by themselves: what sandboxes are made by.
  const stopped = agents.filter(({ pid }) => stop(pid));
  expect(stopped.length).toBeGreaterThan(0);
  used.kill('launcher');
  await untilGone(agents);
  await used.serves();
});
