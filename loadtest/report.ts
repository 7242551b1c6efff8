import type { CloneFloor } from './clone-floor.ts';
import { columns } from './columns.ts';
import { type HttpResult, phases } from './http-load.ts';
import type { Machine } from './machine.ts';
import type { QueueFloor } from './queue-floor.ts';
import type { SandboxFloor } from './sandbox-floor.ts';
import { type BenchRuntime, benchRuntimes } from './snippets.ts';

export interface BenchResult {
  at: string;
  machine: Machine;
  floors: { clone: CloneFloor; sandbox: Record<BenchRuntime, SandboxFloor>; queue: QueueFloor };
  http: HttpResult[];
}

const targetP50Ms = 8;
const targetRate = 200;

export function formatReport({ machine, floors, http }: BenchResult): string {
  const { clone, sandbox, queue } = floors;
  const facts = Object.entries(machine).map(([name, value]) => [name, [value].flat().join(' ')]);
  const floorRows = [
    ['floor', 'p50 ms', 'p99 ms', 'per s'],
    ['clone + wait', fixed(clone.p50Usec / 1000), fixed(clone.p99Usec / 1000), '-'],
    ...benchRuntimes.map((runtime) => {
      const { serialMs, ratePerSecond } = sandbox[runtime];
      return [
        `sandbox ${runtime} (8 in flight)`,
        fixed(serialMs.p50),
        fixed(serialMs.p99),
        fixed(ratePerSecond),
      ];
    }),
    [
      'BullMQ (16 in flight)',
      fixed(queue.serialMs.p50),
      fixed(queue.serialMs.p99),
      fixed(queue.ratePerSecond),
    ],
  ];
  const httpRows = [
    [
      '/v1/run',
      'at once',
      'p50 ms',
      'p99 ms',
      'per s',
      ...phases.map((phase) => phase.slice(0, -2)),
      'failed',
      'starts',
    ],
    ...http.map((load) => [
      load.runtime,
      `${load.concurrency}`,
      fixed(load.latencyMs.p50),
      fixed(load.latencyMs.p99),
      fixed(load.ratePerSecond),
      ...phases.map((phase) => `${fixed(load.phaseMs[phase].p50)}/${fixed(load.phaseMs[phase].p99)}`),
      `${load.failures}`,
      Object.entries(load.starts)
        .map(([kind, count]) => `${kind} ${count}`)
        .join(', '),
    ]),
  ];
  return [facts, floorRows, httpRows, judge(floors, http)].map(columns).join('\n\n');
}

/** Ratios to the floors, and the targets. A load with a failed request meets none. */
function judge({ sandbox, queue }: BenchResult['floors'], http: HttpResult[]): string[][] {
  const verdict = (met: boolean) => (met ? 'met' : 'NOT met');
  return http.map((load) => {
    const name = `${load.runtime} at ${load.concurrency}`;
    if (load.concurrency === 1) {
      const ratio = `p50 is ${fixed(load.latencyMs.p50 / queue.serialMs.p50)} x BullMQ's`;
      // A sandbox that was not warm is measured all the same, so it counts against the target.
      const met = load.failures === 0 && load.latencyMs.p50 <= targetP50Ms;
      return [name, ratio, `target p50 <= ${targetP50Ms} ms`, verdict(met)];
    }
    const ratio = `rate is ${fixed(load.ratePerSecond / sandbox[load.runtime].ratePerSecond)} x the bare sandbox's`;
    const met = load.failures === 0 && load.ratePerSecond >= targetRate;
    return [name, ratio, `target >= ${targetRate}/s`, verdict(met)];
  });
}

function fixed(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
