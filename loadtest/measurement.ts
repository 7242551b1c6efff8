import type { Series } from './report/schema.ts';
import { cdfOf, spreadOf } from './report/statistics.ts';
import type { OnSample, ReplyFacts, Sample } from './workloads/workload.ts';

const failureSamplesMax = 5;

type Labels = Pick<Series, 'name' | 'scenario' | 'workload' | 'generator' | 'concurrency' | 'targetRate'>;

interface Answered {
  /** When the answer was there, after its round began, milliseconds. */
  endedAtMs: number;
  latencyMs: number;
  facts: ReplyFacts;
}

/** Collects the samples of one load, perhaps over several rounds, and makes them a series of the report. */
export class Measurement {
  readonly #labels: Labels;
  readonly #answered: Answered[] = [];
  readonly #failureSamples: string[] = [];
  #unread: Sample[] = [];
  #failures = 0;
  #seconds = 0;

  constructor(labels: Labels) {
    this.#labels = labels;
  }

  readonly onSample: OnSample = (sample) => void this.#unread.push(sample);

  /** Ends a round: checks its answers, which was left until the load is over. */
  endRound(seconds: number): void {
    this.#seconds += seconds;
    this.read();
  }

  /** Checks what has come so far, so that a long load need not keep every answer. */
  read(): void {
    const samples = this.#unread;
    this.#unread = [];
    for (const { workload, atMs, latencyMs, answer } of samples) {
      try {
        if ('error' in answer) throw new Error(answer.error);
        const facts = workload.read(answer.reply);
        this.#answered.push({ endedAtMs: atMs + latencyMs, latencyMs, facts });
      } catch (error) {
        this.#failures += 1;
        if (this.#failureSamples.length < failureSamplesMax)
          this.#failureSamples.push(error instanceof Error ? error.message : String(error));
      }
    }
  }

  get failures(): number {
    return this.#failures;
  }

  /** Right answers in each of `parts` equal stretches of `durationMs`, a second. */
  rates(durationMs: number, parts: number): [seconds: number, perSecond: number][] {
    const stretchMs = durationMs / parts;
    const counts = new Array<number>(parts).fill(0);
    for (const { endedAtMs } of this.#answered) {
      const part = Math.floor(endedAtMs / stretchMs);
      if (part < parts) counts[part] = (counts[part] ?? 0) + 1;
    }
    return counts.map((count, part) => [((part + 0.5) * stretchMs) / 1000, (count * 1000) / stretchMs]);
  }

  /** Median latency of what was answered well in each of `parts` stretches of `durationMs`, milliseconds. */
  medians(durationMs: number, parts: number): [seconds: number, ms: number][] {
    const stretchMs = durationMs / parts;
    const latencies = Array.from({ length: parts }, (): number[] => []);
    for (const { endedAtMs, latencyMs } of this.#answered)
      latencies[Math.floor(endedAtMs / stretchMs)]?.push(latencyMs);
    return latencies.flatMap((ms, part) =>
      ms.length > 0 ? [[((part + 0.5) * stretchMs) / 1000, spreadOf(ms).p50]] : [],
    );
  }

  /** How many were answered well until when, at `points` moments from the first answer to the last. */
  answeredBy(points: number): [seconds: number, count: number][] {
    const ends = this.#answered.map(({ endedAtMs }) => endedAtMs).sort((a, b) => a - b);
    const picked = new Set(
      Array.from({ length: points + 1 }, (_, at) => Math.round((ends.length * at) / points)),
    );
    return [...picked].map((count) => [(ends[count - 1] ?? 0) / 1000, count]);
  }

  toSeries(): Series {
    const latencies = this.#answered.map(({ latencyMs }) => latencyMs);
    const facts = this.#answered.map((answered) => answered.facts);
    const starts: Record<string, number> = {};
    for (const { start } of facts) starts[start] = (starts[start] ?? 0) + 1;
    const phases = new Set(facts.flatMap(({ phaseMs }) => Object.keys(phaseMs)));
    const spreadOfPhase = (phase: string) => spreadOf(facts.flatMap(({ phaseMs }) => phaseMs[phase] ?? []));
    const initMs = facts.flatMap((fact) => fact.initMs ?? []);
    return {
      ...this.#labels,
      latencyMs: spreadOf(latencies),
      latencyCdf: cdfOf(latencies),
      // Only what was answered well: failures are often quick.
      ratePerSecond: this.#seconds > 0 ? this.#answered.length / this.#seconds : 0,
      seconds: this.#seconds,
      requests: this.#answered.length + this.#failures,
      failures: this.#failures,
      failureSamples: this.#failureSamples,
      starts,
      phaseMs: Object.fromEntries([...phases].map((phase) => [phase, spreadOfPhase(phase)])),
      ...(initMs.length > 0 && { initMs: spreadOf(initMs) }),
    };
  }
}
