import { Measurement } from './measurement.ts';
import type { Series, Timeline } from './report/schema.ts';
import type { Sample } from './workloads/workload.ts';

/** Measures several workloads of one open loop: all of them together, and each by its name. */
export class MixMeasurement {
  readonly #scenario: string;
  readonly #all: Measurement;
  readonly #byName = new Map<string, Measurement>();

  constructor(scenario: string, targetRate: number) {
    this.#scenario = scenario;
    this.#all = this.#measurement(scenario, 'all together', targetRate);
  }

  readonly onSample = (sample: Sample): void => {
    const { name } = sample.workload;
    let own = this.#byName.get(name);
    if (!own) {
      own = this.#measurement(`${this.#scenario} ${name}`, name);
      this.#byName.set(name, own);
    }
    own.onSample(sample);
    this.#all.onSample(sample);
  };

  endRound(seconds: number): void {
    for (const measurement of [this.#all, ...this.#byName.values()]) measurement.endRound(seconds);
  }

  /** As `Measurement.read`. */
  read(): void {
    for (const measurement of [this.#all, ...this.#byName.values()]) measurement.read();
  }

  /** Over time: answers a second, and how long half of them took at most. */
  timelines(durationMs: number): Timeline[] {
    // Stretches of a second at least, and enough of them for the first and the last tenth.
    const parts = Math.min(100, Math.max(10, Math.floor(durationMs / 1000)));
    return [
      { name: `${this.#scenario}, rate`, unit: 'per second', points: this.#all.rates(durationMs, parts) },
      { name: `${this.#scenario}, median latency`, unit: 'ms', points: this.#all.medians(durationMs, parts) },
    ];
  }

  toSeries(): Series[] {
    const byName = [...this.#byName].sort(([a], [b]) => a.localeCompare(b));
    return [this.#all, ...byName.map(([, measurement]) => measurement)].map((measurement) =>
      measurement.toSeries(),
    );
  }

  #measurement(name: string, workload: string, targetRate?: number): Measurement {
    return new Measurement({
      name,
      scenario: this.#scenario,
      workload,
      generator: 'open',
      ...(targetRate !== undefined && { targetRate }),
    });
  }
}
