import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { cgroupHierarchies, openResidueAudit } from '../../services/worker/residue.ts';
import { onceboxCgroups } from '../support/host.ts';
import { type Family, parseMetrics, total } from '../support/prometheus.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();
const patience = { timeout: 60_000, interval: 50 };

/** A node that does not answer within two seconds is left out. */
async function scrape(): Promise<Family[]> {
  return vi.waitFor(async () => {
    const response = await fetch(`${running.platform.url}/metrics`);
    const families = await parseMetrics(await response.text());
    expect(total(families, 'oncebox_node_up')).toBe(1);
    return families;
  }, patience);
}

test('names follow the conventions, each has a help and a type, and none is there twice', async () => {
  const families = await scrape();
  const names = families.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, help, type, samples } of families) {
    expect(name).toMatch(/^oncebox_[a-z0-9_]+$/);
    expect(help, name).not.toBe('');
    expect(type, name).not.toBe('unknown');
    if (type === 'counter') for (const sample of samples) expect(sample.name).toMatch(/_total$/);
    if (type === 'histogram') expect(name).toMatch(/_seconds$/);
  }
});

test('after a burst with kills every sandbox that was made and is not parked is gone, and nothing of it is left', async () => {
  const before = await scrape();
  // Those that are meant to be late are to be the only ones.
  const wallMs = 600_000;
  const runs = Array.from({ length: 60 }, (_, index) => {
    const kind = index % 6;
    if (kind === 0)
      return running.client.run({ runtime: 'node', code: 'while (true) {}', limits: { wallMs: 200 } });
    if (kind === 1)
      return running.client.run({
        runtime: 'python',
        code: 'b"x" * (1 << 30)',
        limits: { memoryBytes: 33_554_432, wallMs },
      });
    if (kind === 2)
      return running.client.run({
        runtime: 'bash',
        code: 'setsid sleep 60 & setsid sleep 60 & disown -a; echo',
        limits: { wallMs },
      });
    if (kind === 3) return running.client.run({ runtime: 'bash', code: 'kill -9 $$', limits: { wallMs } });
    if (kind === 4)
      return running.client.run({ runtime: 'bash', code: 'yes', limits: { stdoutBytes: 1_000, wallMs } });
    return cancelled();
  });
  const ended = await Promise.all(runs);
  expect(new Set(ended.map(({ outcome }) => outcome?.status)).size).toBeGreaterThanOrEqual(5);

  await vi.waitFor(
    async () => {
      const after = await scrape();
      const grown = (name: string, labels = {}) => total(after, name, labels) - total(before, name, labels);
      expect(grown('oncebox_invocations_total')).toBe(60);
      expect(grown('oncebox_invocations_total', { outcome: 'timeout' })).toBe(10);
      expect(grown('oncebox_invocations_total', { outcome: 'lost' })).toBe(0);
      expect(
        grown('oncebox_invocation_phase_duration_seconds_count', { phase: 'run' }),
      ).toBeGreaterThanOrEqual(50);
      const created = total(after, 'oncebox_sandboxes_created_total');
      const gone = total(after, 'oncebox_sandboxes_gone_total');
      const parked = total(after, 'oncebox_pool_parked');
      expect(total(after, 'oncebox_sandboxes_live')).toBe(parked);
      expect(created - gone).toBe(parked);
      expect(gone).toBeGreaterThanOrEqual(50);
      expect(total(after, 'oncebox_pool_leased')).toBe(0);
      expect(total(after, 'oncebox_memory_admitted_bytes')).toBe(0);
      expect(total(after, 'oncebox_sandbox_residue_total')).toBe(0);
      // The kernel agrees: a directory in each hierarchy for each that is parked, and for no other.
      const directories = (await onceboxCgroups()).filter((path) =>
        new RegExp(`/oncebox/${running.config.instance}/zone\\d+/s\\d+$`).test(path),
      );
      expect(new Set(directories.map((path) => path.replace(/^.*\/oncebox\//, ''))).size).toBe(parked);
    },
    { timeout: 120_000, interval: 500 },
  );
});

async function cancelled() {
  const { id } = await running.client.runAsync({
    runtime: 'bash',
    code: 'sleep 500',
    limits: { wallMs: 600_000 },
  });
  await vi.waitFor(
    async () => expect((await running.client.invocation(id)).status).toBe('running'),
    patience,
  );
  await running.client.cancel(id);
  return vi.waitFor(async () => {
    const record = await running.client.invocation(id);
    expect(record.status).toBe('done');
    return record;
  }, patience);
}

test('a cgroup that no sandbox has is found, once, and only when it stays', async () => {
  const found: string[] = [];
  const hierarchies = await cgroupHierarchies();
  const audit = openResidueAudit({
    hierarchies,
    instance: running.config.instance,
    live: () => [],
    onFound: (kind, path) => found.push(`${kind} ${path}`),
    onError: (error) => found.push(`${error}`),
  });
  audit.close();
  const [zone] = (await onceboxCgroups()).filter((path) =>
    path.endsWith(`/oncebox/${running.config.instance}/zone1`),
  );
  const left = join(zone ?? '', 's4294967295');
  await mkdir(left);
  try {
    await audit.look();
    await audit.look();
    expect(found).toEqual([]);
    await audit.look();
    await audit.look();
    expect(found.filter((text) => text.endsWith(left))).toEqual([`cgroup ${left}`]);
    // Parked sandboxes are nobody's here either, and have processes.
    expect(found.some((text) => text.startsWith('process '))).toBe(true);
  } finally {
    await rmdir(left);
  }
});
