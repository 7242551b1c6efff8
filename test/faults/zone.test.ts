import { expect, test, vi } from 'vitest';
import { zoneKeepers, zoneProcesses } from '../../loadtest/machine/instance.ts';
import { isAlive } from './kinds/kill-part.ts';
import { netMs, useFaultyPlatform } from './use-platform.ts';

const used = useFaultyPlatform();
const limits = { wallMs: 600_000 };
const forever = { runtime: 'node', code: 'setInterval(() => {}, 1000)', limits } as const;

/** The agent or the zygote of the zone that the program runs in. */
async function ofItsZone(id: string, leaf: 'agent' | 'zygote'): Promise<number> {
  const { sandboxes } = await used.client.sandboxes();
  const sandbox = sandboxes.find(({ invocationId }) => invocationId === id);
  // A sandbox's id ends with its number, which its cgroup has too.
  const cgroup = `s${Number.parseInt(sandbox?.id.split('-').at(-1) ?? '', 36)}`;
  const processes = await zoneProcesses(used.platform.config.instance);
  const zone = processes.find((one) => one.leaf === cgroup && one.program === 'node')?.zone;
  const keeper = (await zoneKeepers(used.platform.config.instance, leaf)).find((one) => one.zone === zone);
  if (!keeper) throw new Error(`the zone of ${id} has no ${leaf}`);
  return keeper.pid;
}

test('with an agent its zone ends: what ran there is lost, and the next zone serves', async () => {
  const id = await used.start(forever);
  process.kill(await ofItsZone(id, 'agent'), 'SIGKILL');
  expect(await used.finished(id)).toMatchObject({
    outcome: { status: 'lost', reason: 'the zone is gone' },
  });
  await used.serves();
});

test('with a zygote its zone ends: what ran there is lost, with the signal, and the next zone serves', async () => {
  const id = await used.start(forever);
  process.kill(await ofItsZone(id, 'zygote'), 'SIGKILL');
  expect(await used.finished(id)).toMatchObject({
    outcome: { status: 'lost', reason: 'the zygote ended by signal 9' },
  });
  await used.serves();
});

test('the zone of an agent that stands still is given up and killed', async () => {
  const id = await used.start(forever);
  const agent = await ofItsZone(id, 'agent');
  process.kill(agent, 'SIGSTOP');
  expect(await used.finished(id)).toMatchObject({
    outcome: { status: 'lost', reason: expect.stringContaining('has not answered') },
  });
  await used.serves();
  await vi.waitFor(() => expect(isAlive(agent)).toBe(false), { timeout: netMs, interval: 100 });
});
