import { z } from 'zod';
import type { Reply, ReplyFacts } from './workload.ts';

/** Only what is measured, and whatever phases there are: a platform of another release may have others. */
const invocationSchema = z.object({
  outcome: z.object({ status: z.string() }),
  start: z.string(),
  stdout: z.string(),
  timings: z.record(z.string(), z.number()),
});

/** Reads the reply of `POST /v1/run`. Throws unless the program ended well and wrote `stdout`. */
export function readRun({ status, body }: Reply, stdout: string): ReplyFacts {
  if (status !== 200) throw new Error(`HTTP ${status}: ${excerpt(body)}`);
  const parsed = invocationSchema.safeParse(json(body));
  if (!parsed.success) throw new Error(`the reply is no finished invocation: ${excerpt(body)}`);
  const { outcome, start, timings } = parsed.data;
  if (outcome.status !== 'ok') throw new Error(`the program ended with ${excerpt(JSON.stringify(outcome))}`);
  if (parsed.data.stdout !== stdout)
    throw new Error(`stdout is ${excerpt(JSON.stringify(parsed.data.stdout))}`);
  return factsOf(start, timings);
}

/** Reads the reply of an invoke. Throws unless it is a 200; what the handler returned is `check`ed. */
export function readInvoke(reply: Reply, check: (result: unknown) => boolean): ReplyFacts {
  if (reply.status !== 200) throw new Error(`HTTP ${reply.status}: ${excerpt(reply.body)}`);
  if (!check(json(reply.body))) throw new Error(`the handler returned ${excerpt(reply.body)}`);
  return factsOf(reply.headers['oncebox-start'] ?? 'unknown', serverTiming(reply.headers['server-timing']));
}

/** https://www.w3.org/TR/server-timing/: `queue;dur=1.2, lease;dur=0.1`. */
function serverTiming(header = ''): Record<string, number> {
  const entries = [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)];
  return Object.fromEntries(entries.map(([, name, duration]) => [`${name}Ms`, Number(duration)]));
}

/** `init` is a part of the run, and `total` all of it. */
function factsOf(start: string, { initMs, totalMs: _, ...phaseMs }: Record<string, number>): ReplyFacts {
  return { start, phaseMs, ...(initMs !== undefined && { initMs }) };
}

function json(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function excerpt(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
