import type { Report, Series } from '../../../loadtest/report/schema.ts';
import { cdfOf, slopeOf, spreadOf } from '../../../loadtest/report/statistics.ts';

const MiB = 1024 * 1024;

/** A report with every kind of data, as a run on two cores would give it; `slower` stretches every latency. */
export function makeReport(slower = 1): Report {
  const random = sequence(7);
  const latencies = (medianMs: number, count: number) => logNormal(random, medianMs * slower, count);
  const load = (
    name: string,
    workload: string,
    medianMs: number,
    count: number,
    more: Partial<Series> = {},
  ) => makeSeries(name, workload, latencies(medianMs, count), more);
  const warm = (workload: string, ms: number) => [
    load(`warm ${workload}`, workload, ms, 2400, { concurrency: 1 }),
    load(`warm ${workload}, without pauses`, workload, ms * 19, 9000, {
      concurrency: 32,
      ratePerSecond: 540 / slower,
    }),
  ];
  const floor = (name: string, ms: number, ratePerSecond?: number) => ({
    name,
    latencyMs: spreadOf(latencies(ms, 1000)),
    ...(ratePerSecond !== undefined && { ratePerSecond: ratePerSecond / slower, concurrency: 8 }),
  });
  const control = (name: string, ms: number, version: string | null) => ({
    name,
    version,
    available: true,
    latencyMs: spreadOf(latencies(ms, 50)),
    ratePerSecond: 1700 / ms,
    concurrency: 4,
  });
  const ramp = ['node', 'python'].flatMap((workload, index) =>
    [1, 2, 4, 8, 16, 32, 64, 128, 256].map((concurrency) => {
      const ratePerSecond = ((560 - 90 * index) * (1 - Math.exp(-concurrency / 3))) / slower;
      const ms = (1000 * concurrency) / ratePerSecond / slower;
      return load(`ramp ${workload}`, workload, ms, 1500, {
        scenario: 'ramp',
        concurrency,
        ratePerSecond,
        starts: { warm: 900, fork: 600 },
      });
    }),
  );
  return {
    schema: 1,
    at: '2026-03-04T05:06:07.000Z',
    tool: 'oncebox loadtest',
    url: 'http://127.0.0.1:8080',
    scenarios: ['warm', 'fork', 'ramp', 'density', 'soak'],
    seed: 42,
    machine: {
      kernel: '6.12.48-cloud-amd64',
      cores: 2,
      model: 'Intel(R) Xeon(R) Processor @ 2.60GHz',
      memoryBytes: 24 * 1024 * MiB,
      loadBefore: [0.31, 0.42, 0.4],
      cgroups: 'v2',
      node: 'v24.11.1',
      revision: '1a2b3c4',
      throttling: '1.3 % stolen by the hypervisor',
      virtualization: 'virtual machine (KVM)',
    },
    floors: [
      floor('clone + wait', 0.17),
      floor('BullMQ round trip', 1.6, 2300),
      floor('sandbox node', 2.2, 640),
      floor('sandbox python', 2.9, 520),
    ],
    controls: [
      control('docker run --rm, node', 330, '26.1.5'),
      control('runc, node', 240, '1.1.15'),
      control('bubblewrap, node', 61, '0.11.0'),
      control('child process, node', 52, null),
      { name: 'crun, node', version: null, available: false, reason: 'refuses hybrid cgroups' },
    ],
    series: [
      ...warm('node', 3.8),
      ...warm('python', 4.4),
      ...warm('function node', 3.9),
      ...warm('function node, 500 ms of imports', 4.6),
      load('fork node', 'node', 6.1, 1500, { scenario: 'fork', concurrency: 1, starts: { fork: 1500 } }),
      load('fork python', 'python', 7.4, 1300, {
        scenario: 'fork',
        concurrency: 1,
        starts: { fork: 1298, cold: 2 },
      }),
      load('burst node', 'node', 480, 498, {
        scenario: 'burst',
        generator: 'open',
        concurrency: 500,
        requests: 500,
        failures: 2,
        failureSamples: ['HTTP 503: the queue is full'],
      }),
      ...ramp,
    ],
    density: [makeDensity('node', 1.42, 60, random), makeDensity('python', 1.08, 35, random)],
    timelines: [
      timeline('soak, rate', 'per second', (share) => 310 - 8 * share + 14 * (random() - 0.5)),
      timeline(
        'soak, memory of worker',
        'bytes',
        (share) => (140 + 12 * (1 - Math.exp(-9 * share)) + 5 * random()) * MiB,
      ),
      timeline('soak, memory of gateway', 'bytes', () => (96 + 6 * random()) * MiB),
      timeline('soak, memory of redis', 'bytes', () => (21 + random()) * MiB),
      timeline('soak, memory of agents', 'bytes', () => (9 + random()) * MiB),
      {
        name: 'burst node',
        unit: 'answers so far',
        points: [
          [0.01, 1],
          [0.2, 110],
          [0.5, 270],
          [0.9, 498],
        ],
      },
    ],
    residue: {
      before: { mounts: 41, 'sandbox processes': 12, 'open files of worker': 88 },
      after: { mounts: 41, 'sandbox processes': 12, 'open files of worker': 90 },
    },
    ratios: [
      {
        name: 'node, warm: p50',
        value: 2.38,
        target: { op: '<=', value: 3 },
        met: true,
        of: 'warm node',
        to: 'BullMQ round trip',
      },
      {
        name: 'node, warm: p99',
        value: 4.6,
        target: { op: '<=', value: 4 },
        met: false,
        of: 'warm node',
        to: 'its p50',
      },
      { name: 'docker run --rm, node: p50', value: 86.8, of: 'docker run --rm, node', to: 'warm node' },
    ],
    notes: ['burst node: the last of 500 calls was answered after 0.91 s; 2 failed'],
  };
}

/** One load with the given latencies. */
export function makeSeries(
  name: string,
  workload: string,
  latenciesMs: readonly number[],
  more: Partial<Series> = {},
): Series {
  const latencyMs = spreadOf(latenciesMs);
  const phase = (share: number) => spreadOf(latenciesMs.map((ms) => ms * share));
  return {
    name,
    scenario: 'warm',
    workload,
    generator: 'closed',
    latencyMs,
    latencyCdf: cdfOf(latenciesMs),
    ratePerSecond: 1000 / latencyMs.p50,
    seconds: 15,
    requests: latenciesMs.length,
    failures: 0,
    failureSamples: [],
    starts: { warm: latenciesMs.length },
    phaseMs: {
      queueMs: phase(0.28),
      leaseMs: phase(0.02),
      startMs: phase(0.13),
      runMs: phase(0.3),
    },
    ...more,
  };
}

function makeDensity(workload: string, slopeMiB: number, baseMiB: number, random: () => number) {
  const points = [1, 10, 50, 100, 250, 500, 1000, 2000].map((alive) => {
    const unavailableBytes = (baseMiB + alive * slopeMiB + 12 * (random() - 0.5)) * MiB;
    return {
      alive,
      answering: alive,
      unavailableBytes,
      cgroupBytes: unavailableBytes * 0.86,
      perSandboxBytes: unavailableBytes / alive,
    };
  });
  const slopeBytes = slopeOf(points.map(({ alive, unavailableBytes }) => [alive, unavailableBytes]));
  return { workload, points, slopeBytes, residue: { processes: 0 } };
}

function timeline(name: string, unit: string, valueAt: (share: number) => number) {
  const points = Array.from({ length: 100 }, (_, at): [number, number] => [36 * at + 18, valueAt(at / 100)]);
  return { name, unit, points };
}

/** Latencies with a long tail, as real ones have. */
export function logNormal(random: () => number, median: number, count: number): number[] {
  return Array.from({ length: count }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const stall = random() < 0.01 ? 1 + 4 * random() : 1;
    return median * Math.exp(0.22 * normal) * stall;
  });
}

/** Numbers from 0 to 1, the same ones each time (a multiplicative generator by Lehmer). */
export function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
