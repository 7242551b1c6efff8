import { setTimeout as delay } from 'node:timers/promises';
import { type Random, seededRandom } from '../../loadtest/generators/random.ts';
import { createClient } from '../../sdk/client.ts';
import { countWaiting } from '../../services/queue/admission.ts';
import { queueKey } from '../../services/queue/job.ts';
import { connectRedis } from '../../services/shared/redis.ts';
import { type Audit, auditInvocations } from './audit.ts';
import { kills, others } from './kinds/all.ts';
import type { Fault } from './kinds/fault.ts';
import { readLedger } from './ledger.ts';
import { type Answer, driveLoad } from './load.ts';
import { orphansOfRunning, orphansOfStopped } from './orphans.ts';
import { type FaultyPlatform, startFaultyPlatform } from './platform.ts';
import { functions } from './requests.ts';

export interface FaultSettings {
  seed: number;
  /** Requests that are answered with an outcome. */
  invocations: number;
  kills: number;
  /** Faults that are no kills. */
  others: number;
  clients: number;
  say: (text: string) => void;
  /** Aborted, the run is given up, and nothing is left of it. */
  signal?: AbortSignal;
}

export interface StruckFault {
  name: string;
  what: string;
  atMs: number;
  /** From when the fault was over (a kill is at once) to the first good answer to a request that was sent after that. */
  recoveredMs: number | undefined;
}

export interface FaultReport extends Audit {
  seed: number;
  faults: StruckFault[];
  answers: Record<string, number>;
  orphans: string[];
  durationMs: number;
  ok: boolean;
}

const MiB = 1024 * 1024;
/** Longer than anything takes that the platform has under way when the load ends: a frozen agent's zone, for one. */
const settledWithinMs = 180_000;

/** A load, faults at random moments of it, and the accounts. The seed decides on requests, faults and moments. */
export async function runFaults(settings: FaultSettings): Promise<FaultReport> {
  const { seed, invocations, clients, say, signal } = settings;
  const random = seededRandom(seed);
  const plan = planFaults(settings, seededRandom(seed + 1));
  const platform = await startFaultyPlatform({ diskBytes: 512 * MiB });
  const startedAtMs = performance.now();
  try {
    const client = createClient(platform.url);
    for (const [name, { request }] of Object.entries(functions)) await client.deploy(name, request);

    const struck: StruckFault[] = [];
    const strikes: Promise<void>[] = [];
    let lastGoodSentAtMs = 0;
    let lastStrikeAtMs = performance.now();
    let nextNews = 0;
    let hasFailed = false;
    // Some of the load is to be left once all has been struck, however long that took.
    const isEnough = () =>
      hasFailed ||
      (plan.length === 0 &&
        ((struck.length === strikes.length && struck.every(({ atMs }) => lastGoodSentAtMs >= atMs)) ||
          performance.now() - lastStrikeAtMs > settledWithinMs));
    const onAnswer = (answer: Answer, taken: number) => {
      if (isGood(answer)) lastGoodSentAtMs = Math.max(lastGoodSentAtMs, answer.sentAtMs);
      while (plan[0] && plan[0].after <= taken) {
        const { fault, number } = plan.shift() as PlannedFault;
        lastStrikeAtMs = performance.now();
        const striking = strike(fault, platform, seededRandom(seed + 2 + number), struck, say);
        // The load, which comes first, would leave it unhandled.
        striking.catch(() => {
          hasFailed = true;
        });
        strikes.push(striking);
      }
      if (taken < nextNews) return;
      say(`${taken} of ${invocations}`);
      nextNews = taken + invocations / 10;
    };
    const load = driveLoad({
      ...{ url: platform.url, random, clients, count: invocations },
      ...{ isEnough, onAnswer },
    });
    const answers = await Promise.race([load, aborted(signal)]);
    await Promise.race([Promise.all(strikes), aborted(signal)]);
    say('the load is over');
    const orphans = await settle(platform, say);
    await platform.stop();
    orphans.push(...(await orphansOfStopped(platform.config)));
    const workers = new Set(
      struck.flatMap(({ name, what }) =>
        name.includes('worker') ? (what.match(/\d+/g) ?? []).map(Number) : [],
      ),
    );
    const ledger = await readLedger(platform.config.redisDir);
    // One of each client, and one that goes on though its client has lost its connection.
    const lostMax = struck.length * 2 * clients;
    const audit = auditInvocations(ledger, answers, platform.workerLines, { workers, lostMax });
    const faults = struck.map((fault) => ({ ...fault, recoveredMs: recoveryOf(fault, answers) }));
    return {
      ...audit,
      seed,
      faults,
      answers: countBy(answers, ({ end, status, code }) => [end, status, code].filter((x) => x).join(' ')),
      orphans,
      durationMs: performance.now() - startedAtMs,
      ok:
        audit.findings.length === 0 &&
        orphans.length === 0 &&
        audit.accepted === audit.finished &&
        faults.every(({ recoveredMs }) => recoveredMs !== undefined),
    };
  } finally {
    await platform.remove();
  }
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

interface PlannedFault {
  /** How many requests are taken by then. */
  after: number;
  fault: Fault;
  number: number;
}

function planFaults(settings: FaultSettings, random: Random): PlannedFault[] {
  const pick = (from: readonly Fault[], count: number) => shuffledRounds(from, count, random);
  const chosen = [...pick(kills, settings.kills), ...pick(others, settings.others)];
  // Not before the load flows, and with some of it left to see the service resume.
  const when = () => Math.floor((0.03 + 0.87 * random()) * settings.invocations);
  return chosen.map((fault, number) => ({ after: when(), fault, number })).sort((a, b) => a.after - b.after);
}

/** Each of them once, in random order, then each of them again. */
function shuffledRounds(from: readonly Fault[], count: number, random: Random): Fault[] {
  const chosen: Fault[] = [];
  while (chosen.length < count) {
    const round = from.map((fault) => ({ fault, key: random() })).sort((a, b) => a.key - b.key);
    chosen.push(...round.slice(0, count - chosen.length).map(({ fault }) => fault));
  }
  return chosen;
}

async function strike(
  fault: Fault,
  platform: FaultyPlatform,
  random: Random,
  struck: StruckFault[],
  say: (text: string) => void,
): Promise<void> {
  const what = await fault.strike(platform, random);
  struck.push({ name: fault.name, what, atMs: performance.now(), recoveredMs: undefined });
  say(`${fault.name}: ${what}`);
}

function recoveryOf({ atMs }: StruckFault, answers: readonly Answer[]): number | undefined {
  const good = answers.filter((answer) => answer.sentAtMs >= atMs && isGood(answer));
  if (good.length === 0) return undefined;
  return Math.min(...good.map(({ answeredAtMs }) => answeredAtMs)) - atMs;
}

const isGood = ({ end, outcome, expected }: Answer) => end === 'finished' && outcome === expected;

/** Waits until nothing waits or runs, and all that runs is answered for. What is not so at the end, in sentences. */
async function settle(platform: FaultyPlatform, say: (text: string) => void): Promise<string[]> {
  const redis = connectRedis(`unix://${platform.config.runDir}/redis.sock`);
  try {
    let left: string[] = ['nothing was looked at'];
    for (const until = performance.now() + settledWithinMs; performance.now() < until; ) {
      const [waiting, active] = await Promise.all([countWaiting(redis), redis.llen(queueKey('active'))]);
      left = await orphansOfRunning(platform.config, platform.pids().launcher);
      if (waiting) left.push(`${waiting} invocations wait`);
      if (active) left.push(`${active} invocations are active`);
      if (left.length === 0) return [];
      await delay(250);
    }
    say(`this does not settle: ${left.join('; ')}`);
    return left;
  } finally {
    redis.disconnect();
  }
}

function countBy<T>(things: readonly T[], nameOf: (thing: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const thing of things) counts[nameOf(thing)] = (counts[nameOf(thing)] ?? 0) + 1;
  return counts;
}
