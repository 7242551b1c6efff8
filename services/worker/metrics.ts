import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import type { GroupStats, PoolGroup } from '../../runtime/pool/stats.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { MemoryCapacity } from './capacity.ts';
import type { ResidueKind } from './residue.ts';
import type { Runs } from './runs.ts';

/** From a fork on an idle machine to an invocation at its longest. */
const seconds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];

export interface WorkerMetrics {
  /** To be told of every invocation once it is over. */
  finished(invocation: Invocation): void;
  /** To be told of what a sandbox left behind. */
  found(kind: ResidueKind): void;
  /** In Prometheus's text format. */
  text(): Promise<string>;
}

/** The node's figures. Every name begins with `oncebox_`, and none is among the gateway's: the two texts go out as one. */
export function createWorkerMetrics(parts: {
  source: Pick<SandboxSource, 'stats'>;
  capacity: Pick<MemoryCapacity, 'totalBytes' | 'freeBytes' | 'waiting'>;
  runs: Pick<Runs, 'size'>;
}): WorkerMetrics {
  const { source, capacity, runs } = parts;
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'oncebox_worker_' });

  const invocations = new Counter({
    name: 'oncebox_invocations_total',
    help: 'Invocations that are over, by how they ended and began.',
    labelNames: ['outcome', 'start', 'isolation'],
    registers,
  });
  const duration = new Histogram({
    name: 'oncebox_invocation_duration_seconds',
    help: 'From the request at the gateway until the program was over.',
    labelNames: ['start'],
    buckets: seconds,
    registers,
  });
  const phases = new Histogram({
    name: 'oncebox_invocation_phase_duration_seconds',
    help: 'The phases of an invocation, as its record has them.',
    labelNames: ['phase'],
    buckets: seconds,
    registers,
  });
  const residue = new Counter({
    name: 'oncebox_sandbox_residue_total',
    help: 'What was found of sandboxes that had ended. Anything but 0 is a fault.',
    labelNames: ['kind'],
    registers,
  });
  for (const kind of ['cgroup', 'process'] satisfies ResidueKind[]) residue.inc({ kind }, 0);
  /** Of what sandboxes said themselves, which the audit takes for known and does not tell. */
  let saidResidues = 0;

  gauge(
    'oncebox_invocations_running',
    'Invocations that this worker has taken and not finished.',
    () => runs.size,
  );
  gauge(
    'oncebox_invocations_waiting_for_memory',
    'Of these, those that the node has no room for yet.',
    () => capacity.waiting,
  );
  gauge(
    'oncebox_memory_admitted_bytes',
    'Sum of the memory caps of what runs.',
    () => capacity.totalBytes - capacity.freeBytes,
  );
  gauge('oncebox_memory_admissible_bytes', 'What that sum may be.', () => capacity.totalBytes);
  const groupMetrics = openGroupMetrics(registers);

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }

  return {
    finished({ outcome, start, timings, ...rest }) {
      const isolation = 'isolation' in rest ? String(rest.isolation) : 'native';
      invocations.inc({ outcome: outcome?.status ?? 'lost', start: start ?? 'none', isolation });
      if (!timings) return;
      let total = 0;
      for (const [name, ms = 0] of Object.entries(timings)) {
        phases.observe({ phase: name.replace(/Ms$/, '') }, ms / 1000);
        total += ms;
      }
      duration.observe({ start: start ?? 'none' }, total / 1000);
    },
    found: (kind) => residue.inc({ kind }),
    async text() {
      const { groups, parkedHeld, parkedMax } = await source.stats();
      groupMetrics.set(groups, { parkedHeld, parkedMax });
      const said = Object.values(groups).reduce((sum, { residues }) => sum + residues, 0);
      residue.inc({ kind: 'cgroup' }, said - saidResidues);
      saidResidues = said;
      return registry.metrics();
    },
  };
}

type Reading = readonly [name: string, help: string, read: (stats: GroupStats) => number];

/** Of each group of pools, as they are now. */
const groupGauges: readonly Reading[] = [
  ['oncebox_pools', 'Open pools: one for each kind of sandbox in use.', ({ pools }) => pools],
  ['oncebox_pool_parked', 'Parked sandboxes.', ({ parked }) => parked],
  ['oncebox_pool_target', 'Parked sandboxes that the demand calls for.', ({ target }) => target],
  ['oncebox_pool_leased', 'Sandboxes that were leased and are not gone.', ({ leased }) => leased],
  [
    'oncebox_sandboxes_live',
    'Sandboxes of which something is left: created and not gone.',
    ({ sandboxesCreated, sandboxesGone }) => sandboxesCreated - sandboxesGone,
  ],
  ['oncebox_zones', 'Open zones.', ({ zones }) => zones],
  [
    'oncebox_zygote_memory_bytes',
    'What zygotes have, and what the kernel spends on their forks.',
    ({ zygoteMemoryBytes }) => zygoteMemoryBytes,
  ],
];

/** Of each group of pools, since the worker's start. */
const groupCounters: readonly Reading[] = [
  ['oncebox_sandboxes_created_total', 'Sandboxes made.', ({ sandboxesCreated }) => sandboxesCreated],
  [
    'oncebox_sandboxes_gone_total',
    'Sandboxes of which no process, mount and cgroup is left.',
    ({ sandboxesGone }) => sandboxesGone,
  ],
  ['oncebox_pool_evictions_total', 'Parked sandboxes given back.', ({ evictions }) => evictions],
  [
    'oncebox_pool_refill_failures_total',
    'Sandboxes that could not be made ahead of their lease.',
    ({ refillFailures }) => refillFailures,
  ],
  ['oncebox_zone_boots_total', 'Zones opened.', ({ zoneBoots }) => zoneBoots],
  [
    'oncebox_zone_rotations_total',
    'Zones replaced by their successor.',
    ({ zoneRotations }) => zoneRotations,
  ],
  [
    'oncebox_zone_failures_total',
    'Zones that did not open, or went by themselves.',
    ({ zoneFailures }) => zoneFailures,
  ],
];

function openGroupMetrics(registers: Registry[]) {
  const labelNames = ['group'];
  const gauges = groupGauges.map(
    ([name, help, read]) => [new Gauge({ name, help, labelNames, registers }), read] as const,
  );
  const counters = groupCounters.map(
    ([name, help, read]) => [new Counter({ name, help, labelNames, registers }), read] as const,
  );
  const leases = new Counter({
    name: 'oncebox_pool_leases_total',
    help: 'Leases, by whether a sandbox was parked, had to be forked, or waited for a zone to boot.',
    labelNames: ['group', 'start'],
    registers,
  });
  const held = new Gauge({
    name: 'oncebox_parked_sandboxes',
    help: 'Parked sandboxes of all groups, those being made included.',
    registers,
  });
  const max = new Gauge({ name: 'oncebox_parked_sandboxes_max', help: 'How many there may be.', registers });

  return {
    set(
      groups: Record<PoolGroup, GroupStats>,
      { parkedHeld, parkedMax }: { parkedHeld: number; parkedMax: number },
    ) {
      held.set(parkedHeld);
      max.set(parkedMax);
      leases.reset();
      for (const [counter] of counters) counter.reset();
      for (const [group, stats] of Object.entries(groups)) {
        for (const [metric, read] of gauges) metric.set({ group }, read(stats));
        for (const [metric, read] of counters) metric.inc({ group }, read(stats));
        leases.inc({ group, start: 'warm' }, stats.warmLeases);
        // A cold one is a fork that waited.
        leases.inc({ group, start: 'fork' }, stats.forkLeases - stats.coldLeases);
        leases.inc({ group, start: 'cold' }, stats.coldLeases);
      }
    },
  };
}
