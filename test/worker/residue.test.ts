import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cgroupNameOf } from '../../runtime/sandbox/cgroup-name.ts';
import { openResidueAudit } from '../../services/worker/residue.ts';

let hierarchy: string;
beforeEach(async () => {
  hierarchy = await mkdtemp(join(tmpdir(), 'oncebox-residue-'));
});
afterEach(() => rm(hierarchy, { recursive: true }));

function useAudit() {
  const live: { id: string; createdAtMs: number }[] = [];
  const found: string[] = [];
  const audit = openResidueAudit({
    hierarchies: [hierarchy],
    instance: 'own',
    live: () => live,
    onFound: (kind, path) => found.push(`${kind} ${path.replaceAll(`${hierarchy}/oncebox/own/`, '')}`),
    onError: (error) => found.push(`${error}`),
  });
  audit.close(); // it looks when the test says so
  const pathOf = (name: string) => join(hierarchy, 'oncebox/own', name);
  return {
    found,
    async look(times = 1) {
      for (let time = 0; time < times; time++) await audit.look();
    },
    async plant(name: string, processes = '') {
      await mkdir(pathOf(name), { recursive: true });
      await writeFile(join(pathOf(name), 'cgroup.procs'), processes);
    },
    take: (name: string) => rm(pathOf(name), { recursive: true }),
    begin: (id: string) => void live.push({ id, createdAtMs: performance.now() }),
    end: (id: string) =>
      void live.splice(
        live.findIndex((one) => one.id === id),
        1,
      ),
  };
}

test('ids of zygotes and of OCI runtimes name the cgroup that the kernel has', () => {
  expect(['ab12-1', 'ab12-zz', 'gvisor-e30f12ab99', 'runc-0012345678'].map(cgroupNameOf)).toEqual([
    's1',
    's1295',
    's1',
    's1',
  ]);
});

test('sandboxes of zygotes and of OCI runtimes that live long are no residue', async () => {
  const { found, look, plant, begin } = useAudit();
  for (const id of ['ab12-zz', 'gvisor-e30f12ab99', 'runc-0012345678']) begin(id);
  await plant('zone1/s1295', '7\n');
  await plant('zone2/s1', '8\n');
  await plant('zone3/s1', '9\n');
  await look(5);
  expect(found).toEqual([]);
});

test('what is planted is told once, and again when it comes back', async () => {
  const { found, look, plant, take } = useAudit();
  await plant('zone1/s5');
  await look(2);
  expect(found).toEqual([]);
  await look(3);
  expect(found).toEqual(['cgroup zone1/s5']);
  await take('zone1/s5');
  await look();
  await plant('zone1/s5');
  await look(4);
  expect(found).toEqual(['cgroup zone1/s5', 'cgroup zone1/s5']);
});

test('one of two equal names without a sandbox is told, though the other has one', async () => {
  const { found, look, plant, begin } = useAudit();
  begin('runc-0012345678');
  await plant('zone1/s1', '7\n');
  await plant('zone2/s1');
  await plant('zone3/s1/below', '9\n');
  await look(5);
  expect(found).toEqual(['cgroup zone2/s1', 'process zone1/s1 or zone3/s1']);
});

test('a sandbox that came since hides none that was left before', async () => {
  const { found, look, plant, begin, end, take } = useAudit();
  await plant('zone1/s1');
  for (let turn = 2; turn < 6; turn++) {
    const id = `runc-00${turn}`;
    begin(id);
    await plant(`zone${turn}/s1`, '7\n');
    await look();
    end(id);
    await take(`zone${turn}/s1`);
  }
  expect(found).toEqual(['cgroup zone1/s1']);
});

test('sandboxes that are being made or ended on one look are no residue', async () => {
  const { found, look, plant, begin, end, take } = useAudit();
  for (let turn = 1; turn < 6; turn++) {
    const id = `runc-00${turn}`;
    await plant(`zone${turn}/s1`, '7\n');
    await look(); // being made
    begin(id);
    await look(2);
    end(id);
    await look(); // being ended
    await take(`zone${turn}/s1`);
  }
  expect(found).toEqual([]);
});
