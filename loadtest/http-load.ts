import autocannon from 'autocannon';
import { type Invocation, invocationSchema, type Timings } from '../sdk/contract/invocation.ts';
import { type BenchRuntime, snippets } from './snippets.ts';
import { type Spread, spreadOf } from './statistics.ts';

type Phase = keyof Timings;
export const phases: readonly Phase[] = ['queueMs', 'leaseMs', 'startMs', 'runMs', 'discardMs'];

export interface HttpResult {
  runtime: BenchRuntime;
  concurrency: number;
  latencyMs: Spread;
  ratePerSecond: number;
  phaseMs: Record<Phase, Spread>;
  starts: Record<string, number>;
  /** Replies that were not a 200 with the right stdout, and requests without a reply. */
  failures: number;
}

/** Collects rounds of one runtime at one concurrency. */
export class HttpLoad {
  readonly runtime: BenchRuntime;
  readonly concurrency: number;
  readonly #latencies: number[] = [];
  readonly #invocations: Invocation[] = [];
  #failures = 0;
  #seconds = 0;

  constructor(runtime: BenchRuntime, concurrency: number) {
    this.runtime = runtime;
    this.concurrency = concurrency;
  }

  async round(url: string, amount: number): Promise<void> {
    const bodies: string[] = [];
    const startedAt = performance.now();
    let lastAt = startedAt;
    const result = await new Promise<autocannon.Result>((resolve, reject) => {
      const run = autocannon(
        {
          url: `${url}/v1/run`,
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ runtime: this.runtime, code: snippets[this.runtime].code }),
          connections: this.concurrency,
          amount,
          timeout: 10,
          // Kept as text and parsed after the round: the client shares the cores with what it measures.
          setupClient: (client) => client.on('body', (body) => bodies.push(body.toString())),
        },
        (error, finished) => (error ? reject(error) : resolve(finished)),
      );
      // Its histogram holds whole milliseconds; the times themselves are finer.
      run.on('response', (_client, _status, _bytes, responseMs) => {
        lastAt = performance.now();
        this.#latencies.push(responseMs);
      });
    });
    this.#seconds += (lastAt - startedAt) / 1000;
    const good = bodies.flatMap((body) => checkedInvocation(body, this.runtime) ?? []);
    this.#invocations.push(...good);
    this.#failures += Math.max(amount - good.length, result.errors + result.non2xx);
  }

  result(): HttpResult {
    const times = this.#invocations.flatMap(({ timings }) => timings ?? []);
    const starts: Record<string, number> = {};
    for (const { start = 'unknown' } of this.#invocations) starts[start] = (starts[start] ?? 0) + 1;
    return {
      runtime: this.runtime,
      concurrency: this.concurrency,
      latencyMs: spreadOf(this.#latencies),
      ratePerSecond: this.#invocations.length / this.#seconds,
      phaseMs: Object.fromEntries(
        phases.map((phase) => [phase, spreadOf(times.map((timings) => timings[phase]))]),
      ) as Record<Phase, Spread>,
      starts,
      failures: this.#failures,
    };
  }
}

/** One call, before any load: throws unless the answer is right. */
export async function checkAnswer(url: string, runtime: BenchRuntime): Promise<void> {
  const reply = await fetch(`${url}/v1/run`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ runtime, code: snippets[runtime].code }),
  });
  const body = await reply.text();
  if (!checkedInvocation(body, runtime)) {
    throw new Error(`cannot measure ${runtime}: wrong answer, HTTP ${reply.status}: ${body}`);
  }
}

function checkedInvocation(body: string, runtime: BenchRuntime): Invocation | undefined {
  try {
    const invocation = invocationSchema.parse(JSON.parse(body));
    const isRight = invocation.outcome?.status === 'ok' && invocation.stdout === snippets[runtime].stdout;
    return isRight ? invocation : undefined;
  } catch {
    return undefined;
  }
}
