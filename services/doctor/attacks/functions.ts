import { setTimeout as delay } from 'node:timers/promises';
import type { DeployRequest } from '../../../sdk/contract/function.ts';
import { type Invocation, invocationSchema } from '../../../sdk/contract/invocation.ts';
import type { Ground } from './ground.ts';
import { readProgram } from './programs.ts';
import { must } from './verdict.ts';

export interface Called {
  status: number;
  /** Of the reply: what the handler returned, or the error. */
  body: unknown;
  headers: Headers;
  record: Invocation;
}

/** Deploys a program of `programs/` as a function, which its extension says the runtime of; with patient limits unless given. */
export async function deployProgram(
  { client, patientLimits: limits }: Ground,
  name: string,
  program: string,
  more: Partial<DeployRequest> = {},
): Promise<void> {
  const runtime = program.endsWith('.py') ? 'python' : 'node';
  const path = runtime === 'python' ? 'index.py' : 'index.mjs';
  const content = await readProgram(program);
  const files = [{ path, content }];
  await client.deploy(name, { runtime, handler: 'index.handler', files, limits, ...more });
}

/** Calls a function and reads the record of the call. */
export async function callFunction(ground: Ground, name: string, event: unknown = null): Promise<Called> {
  const response = await fetch(`${ground.url}/v1/functions/${name}/invoke`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(event),
    signal: ground.signal,
  });
  const body = await response.json();
  const id = response.headers.get('oncebox-invocation-id') ?? '';
  must(id !== '', 'the reply names no invocation', { status: response.status, body });
  const record = await fetch(`${ground.url}/v1/invocations/${id}`, { signal: ground.signal });
  return {
    status: response.status,
    body,
    headers: response.headers,
    record: invocationSchema.parse(await record.json()),
  };
}

/**
 * A boot that never ends is given half a minute, and the next may have to wait for others like it. One that a busy machine
 * kept from its time is tried again, each time after twice as long. Milliseconds.
 */
export const decidedWithinMs = 300_000;

/** Calls until its initialisation is shared, which is when it has a zygote of its own. */
export async function callUntilShared(ground: Ground, name: string): Promise<Called> {
  const deadline = performance.now() + ground.ms(decidedWithinMs);
  for (;;) {
    const called = await callFunction(ground, name);
    if (called.record.init?.shared) return called;
    must(performance.now() < deadline, 'it got no zygote of its own', [
      called.body,
      lastOf(ground.complaints),
    ]);
    await delay(ground.ms(50), undefined, { signal: ground.signal });
  }
}

export function lastOf(complaints: readonly string[]): string[] {
  return complaints.slice(-3).map((line) => line.slice(0, 300));
}
