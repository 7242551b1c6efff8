import { createHash } from 'node:crypto';
import type { InvocationJob } from './job.ts';

/** How long a key stands for its first request. */
export const idempotencyTtlMs = 86_400_000;
/** `<id> <digest of the request>`. The name has the key's hash: keys are of any characters. */
const idempotencyKey = (tenant: string, key: string) =>
  `oncebox:idempotency:${tenant}:${createHash('sha256').update(key).digest('base64url')}`;
/** Names of all these, by the time in ms at which they were set: the oldest give way when memory is short. */
export const idempotencyIndexKey = 'oncebox:idempotency-at';

/** A caller's word that two requests with one key are one. */
export interface Idempotency {
  /** On Redis. */
  name: string;
  /** Of what is asked for. */
  digest: string;
}

export function idempotencyOf(tenant: string, key: string, request: AskedFor): Idempotency {
  return { name: idempotencyKey(tenant, key), digest: digestOf(request) };
}

/** So that a dead letter is run again once, however often that is asked for. */
export function redriveOnce(tenant: string, id: string): Idempotency {
  return { name: `oncebox:idempotency:${tenant}:redrive:${id}`, digest: id };
}

type AskedFor = Omit<InvocationJob, 'replyTo' | 'enqueuedAtMs' | 'tenant'>;

/**
 * What the caller asked for, without what differs when it is asked for again: ids, times, and of a function all that its
 * version says, for there may be a new one. The name is as the caller wrote it: `f` and `f:prod` may be two versions, now or
 * in a while.
 */
function digestOf(request: AskedFor): string {
  const {
    function: called,
    reference,
    program,
    compile,
    runtime,
    image,
    user,
    workingDir,
    stdin,
    limits,
    diff,
    isolation,
  } = request;
  const asked = called
    ? { name: reference ?? called.name, ...eventOf(program), diff }
    : {
        runtime,
        image: image?.reference,
        user,
        workingDir,
        program,
        stdin,
        limits,
        diff,
        isolation,
        compile,
      };
  return createHash('sha256').update(JSON.stringify(asked)).digest('base64url');
}

function eventOf(program: InvocationJob['program']): object {
  if (program.kind === 'lambda') return { kind: program.kind, eventJson: program.eventJson };
  if (program.kind !== 'handler') return { program };
  const { kind, eventJson, http } = program;
  return { kind, eventJson, ...(http !== undefined && { http }) };
}
