import { openLoop } from '../generators/open-loop.ts';
import { burstSchedule } from '../generators/schedules.ts';
import { checkAnswers } from '../loads.ts';
import { Measurement } from '../measurement.ts';
import type { Scenario } from '../scenario.ts';
import { snippet } from '../workloads/snippets.ts';

/** From nothing to many at once, as after a deploy or an outage. All have to be answered. */
export const burst: Scenario = {
  name: 'burst',
  description: 'from 0 to 500 calls in the same instant',
  needsMachine: false,
  async run(context) {
    const { runtimes, concurrency: count = context.settings.isQuick ? 100 : 500 } = context.settings;
    const { progress, findings, signal } = context;
    await context.withTarget({}, async ({ url }) => {
      const workloads = runtimes.map((runtime) => snippet(runtime));
      await checkAnswers(url, workloads);
      for (const workload of workloads) {
        progress.detail(`${workload.name}, ${count} at once`);
        const measurement = new Measurement({
          name: `burst ${workload.name}`,
          scenario: 'burst',
          workload: workload.name,
          generator: 'open',
          concurrency: count,
        });
        const arrivals = [...burstSchedule(count)].map((atMs) => ({ atMs, workload }));
        const { onSample } = measurement;
        const { seconds } = await openLoop({ url, arrivals, maxInFlight: count, onSample, signal });
        measurement.endRound(seconds);
        findings.series.push(measurement.toSeries());
        const points = measurement.answeredBy(50);
        findings.timelines.push({ name: `burst ${workload.name}`, unit: 'answers so far', points });
        const lost = measurement.failures > 0 ? `; ${measurement.failures} failed` : '; none failed';
        findings.notes.push(
          `burst ${workload.name}: the last of ${count} calls was answered after ${seconds.toFixed(2)} s${lost}`,
        );
      }
    });
  },
};
