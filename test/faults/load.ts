import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request as send } from 'undici';
import type { Random } from '../../loadtest/generators/random.ts';
import { type MarkedRequest, nextRequest } from './requests.ts';

/** What a client knows of its request in the end. */
export interface Answer extends MarkedRequest {
  sentAtMs: number;
  answeredAtMs: number;
  /** `finished`: an outcome was told. `unknown`: the connection broke, or the platform could not say. `refused`: not taken. */
  end: 'finished' | 'unknown' | 'refused';
  status?: number;
  /** The error's code, or the broken connection's. */
  code?: string;
  outcome?: string;
  invocationId?: string;
}

export interface LoadOptions {
  url: string;
  random: Random;
  clients: number;
  /** Requests that are answered with an outcome, at least. */
  count: number;
  /** Asked once there are so many: whether that is enough. */
  isEnough: () => boolean;
  onAnswer: (answer: Answer, finished: number) => void;
}

/** No wait of the platform's is longer. */
const patienceMs = 100_000;
const afterRefusalMs = 200;

/** So many clients, each with one request at a time, until `count` were told an outcome and that is enough. Never rejects. */
export async function driveLoad(options: LoadOptions): Promise<Answer[]> {
  const { url, random, clients, count, isEnough, onAnswer } = options;
  const answers: Answer[] = [];
  const agent = new Agent({ headersTimeout: patienceMs, bodyTimeout: patienceMs, connections: clients });
  let number = 0;
  let taken = 0;
  let underWay = 0;

  async function client() {
    while (taken + underWay < count || !isEnough()) {
      underWay += 1;
      const answer = await ask(url, agent, nextRequest(number++, random));
      underWay -= 1;
      answers.push(answer);
      if (answer.end === 'finished') taken += 1;
      onAnswer(answer, taken);
      if (answer.end !== 'finished') await delay(afterRefusalMs);
    }
  }

  await Promise.all(Array.from({ length: clients }, client));
  await agent.destroy();
  return answers;
}

async function ask(url: string, dispatcher: Agent, request: MarkedRequest): Promise<Answer> {
  const sentAtMs = performance.now();
  const done = (facts: Omit<Answer, keyof MarkedRequest | 'sentAtMs' | 'answeredAtMs'>): Answer => ({
    ...request,
    sentAtMs,
    answeredAtMs: performance.now(),
    ...facts,
  });
  try {
    const response = await send(url + request.path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request.body),
      dispatcher,
    });
    const status = response.statusCode;
    const text = await response.body.text();
    return done({ status, ...readReply(status, text, response.headers['oncebox-invocation-id']) });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isUnsent = code === 'ECONNREFUSED';
    return done({ end: isUnsent ? 'refused' : 'unknown', code: code ?? message });
  }
}

function readReply(status: number, text: string, idHeader: string | string[] | undefined) {
  const body = JSON.parse(text);
  const { error } = (body ?? {}) as {
    error?: { code: string; invocationId?: string; outcome?: { status: string } };
  };
  const invocationId = error?.invocationId ?? (typeof idHeader === 'string' ? idHeader : undefined);
  const known = invocationId === undefined ? {} : { invocationId };
  if (status === 200) {
    const { outcome } = (body ?? {}) as { outcome?: { status: string } };
    return { end: 'finished' as const, outcome: outcome?.status ?? 'ok', ...known };
  }
  if (error?.outcome) return { end: 'finished' as const, outcome: error.outcome.status, ...known };
  const code = error?.code ?? `status ${status}`;
  return { end: invocationId === undefined ? ('refused' as const) : ('unknown' as const), code, ...known };
}
