import { setTimeout as delay } from 'node:timers/promises';
import { closedLoop } from './generators/closed-loop.ts';
import { pacedLoop } from './generators/paced-loop.ts';
import { createSender } from './generators/send.ts';
import { Measurement } from './measurement.ts';
import type { ScenarioContext } from './scenario.ts';
import type { Workload } from './workloads/workload.ts';

/** Between calls of one caller who gives the platform time to refill its pools, milliseconds. */
const pauseMs = 20;
/** Lets what a load has left, such as sandboxes being discarded, end before the next, milliseconds. */
const settleMs = 200;
/** Enough to tell about how long a request takes. */
const pilotRequests = 3;

/** One series in the making, measured in rounds. */
export interface Load {
  readonly title: string;
  readonly measurement: Measurement;
  /** Finds out how many requests fill a round; these warm the platform up, and are not measured. */
  prepare(): Promise<void>;
  round(): Promise<void>;
}

export interface LoadOptions {
  url: string;
  scenario: string;
  workload: Workload;
  /** Of the series; the scenario and the workload unless given. */
  name?: string;
  /** A round's length, about, milliseconds. */
  roundMs: number;
}

/** One caller at a time, who pauses between calls. */
export function pacedLoad(options: LoadOptions, { signal }: ScenarioContext): Load {
  const { url, scenario, workload, roundMs, name = `${scenario} ${workload.name}` } = options;
  const generator = 'closed' as const;
  const measurement = new Measurement({ name, scenario, workload: workload.name, generator, concurrency: 1 });
  const loop = { url, workload, pauseMs, signal };
  let amount = 0;
  return {
    title: name,
    measurement,
    async prepare() {
      const seconds = await pacedLoop({ ...loop, amount: pilotRequests, onSample() {} });
      amount = amountFor(roundMs, pilotRequests / seconds, pilotRequests);
    },
    async round() {
      measurement.endRound(await pacedLoop({ ...loop, amount, onSample: measurement.onSample }));
    },
  };
}

/** Callers who send their next request as soon as they have an answer. */
export function closedLoad(
  { concurrency, ...options }: LoadOptions & { concurrency: number },
  { signal }: ScenarioContext,
): Load {
  const { url, scenario, workload, roundMs, name = `${scenario} ${workload.name}` } = options;
  const generator = 'closed' as const;
  const measurement = new Measurement({ name, scenario, workload: workload.name, generator, concurrency });
  const loop = { url, workload, concurrency, signal };
  let amount = 0;
  return {
    title: `${name}, ${concurrency} at once`,
    measurement,
    async prepare() {
      const pilot = Math.max(pilotRequests, concurrency);
      const seconds = await closedLoop({ ...loop, amount: pilot, onSample() {} });
      amount = amountFor(roundMs, pilot / seconds, concurrency);
    },
    async round() {
      measurement.endRound(await closedLoop({ ...loop, amount, onSample: measurement.onSample }));
    },
  };
}

/**
 * Measures the loads in turn, round by round, so that a noisy minute hits all of them alike, and puts their series into
 * the findings. Rejects before anything is measured when an answer is wrong.
 */
export async function measureInRounds(
  loads: readonly Load[],
  rounds: number,
  { progress, findings, signal }: ScenarioContext,
): Promise<void> {
  for (const load of loads) await load.prepare();
  for (let round = 1; round <= rounds; round++) {
    for (const [index, load] of loads.entries()) {
      progress.detail(`${load.title} (round ${round} of ${rounds}, ${index + 1} of ${loads.length})`);
      await delay(settleMs, undefined, { signal });
      await load.round();
    }
  }
  findings.series.push(...loads.map(({ measurement }) => measurement.toSeries()));
}

/** One call each, before any load. Rejects unless every answer is right. */
export async function checkAnswers(url: string, workloads: readonly Workload[]): Promise<void> {
  const sender = createSender(url, 1);
  try {
    for (const workload of workloads) {
      const answer = await sender.send(workload);
      try {
        if ('error' in answer) throw new Error(answer.error);
        workload.read(answer.reply);
      } catch (error) {
        throw new Error(`cannot measure ${workload.name}: ${(error as Error).message}`);
      }
    }
  } finally {
    await sender.close();
  }
}

function amountFor(roundMs: number, perSecond: number, atLeast: number): number {
  return Math.max(atLeast, Math.ceil((perSecond * roundMs) / 1000));
}
