import type { Arrival } from '../generators/open-loop.ts';
import { type Random, weightedChoice, zipfWeights } from '../generators/random.ts';
import { poissonSchedule } from '../generators/schedules.ts';
import type { DeployedFunctions } from './functions.ts';
import { type LoadRuntime, type SnippetRuntime, snippet, waitingSnippet } from './snippets.ts';
import type { Workload } from './workload.ts';

/** The most called functions count as hot. */
const hotShare = 0.1;
/**
 * Of how often functions are called. Public traces of Azure Functions (Shahrad et al., "Serverless in the Wild", USENIX
 * ATC 2020) have a fifth of the applications take 99.6 % of the calls; with this exponent a fifth of 50 takes 86 %.
 */
const zipfExponent = 1.5;
/** Of all calls: most go to functions. */
const functionShare = 0.7;
/** Of snippets: those that wait for a moment, as for a slow service. */
const longShare = 0.2;
const longMs = 250;

export interface Mix {
  /** One of each kind, for checking. */
  workloads: Workload[];
  /** Calls of independent callers, by the seed's choice. */
  arrivals(ratePerSecond: number, durationMs: number, random: Random): Iterable<Arrival>;
}

/** Functions of which few are hot and most are rare, and snippets, short and long. */
export async function createMix(
  functions: DeployedFunctions,
  runtimes: readonly LoadRuntime[],
  functionCount: number,
): Promise<Mix> {
  const deployed: Workload[] = [];
  for (let index = 0; index < functionCount; index++) {
    const runtime = runtimes[index % runtimes.length] as LoadRuntime;
    const popularity = index < functionCount * hotShare ? 'hot' : 'rare';
    deployed.push(await functions.empty(runtime, `${popularity} function`));
  }
  const snippetRuntimes: SnippetRuntime[] = [...runtimes, 'bash'];
  const short = snippetRuntimes.map((runtime) => snippet(runtime));
  const long = snippetRuntimes.map((runtime) =>
    waitingSnippet(runtime, longMs, `${runtime}, waits ${longMs} ms`),
  );

  return {
    workloads: [...deployed, ...short, ...long],
    *arrivals(ratePerSecond, durationMs, random) {
      const kind = weightedChoice(
        [functionShare, (1 - functionShare) * (1 - longShare), (1 - functionShare) * longShare],
        random,
      );
      const pickFunction = weightedChoice(zipfWeights(functionCount, zipfExponent), random);
      const pickSnippet = weightedChoice(
        snippetRuntimes.map(() => 1),
        random,
      );
      for (const atMs of poissonSchedule(ratePerSecond, durationMs, random)) {
        const workload = [
          () => deployed[pickFunction()],
          () => short[pickSnippet()],
          () => long[pickSnippet()],
        ][kind()]?.();
        if (workload) yield { atMs, workload };
      }
    },
  };
}
