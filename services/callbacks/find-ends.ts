import { setTimeout as delay } from 'node:timers/promises';
import type { InvocationQueue } from '../queue/invocation-queue.ts';
import { forgotten } from '../queue/result-channel.ts';
import type { Callbacks } from './callbacks.ts';

const lookEveryMs = 1_000;
/** So long an addition to the queue may be on its way whose gateway has died, or had no answer. */
const additionMs = 60_000;

/**
 * Tells of the ends that nobody told: a worker died between the record and the callback's job, or with the invocation, or it
 * was cancelled. Every gateway looks; what one looks at, the others do not for some seconds.
 */
export function startFindingEnds(options: {
  callbacks: Callbacks;
  queue: Pick<InvocationQueue, 'ended'>;
  onError: (error: unknown) => void;
}): { close(): Promise<void> } {
  const { callbacks, queue, onError } = options;
  const closing = new AbortController();

  async function look(): Promise<void> {
    for (let due = await callbacks.takeDue(); due.length > 0; due = await callbacks.takeDue()) {
      const byId = new Map(due.map((one) => [one.id, one]));
      for (const [id, invocation] of await queue.ended([...byId.keys()])) {
        const { isAccepted = false, ageMs = 0 } = byId.get(id) ?? {};
        if (invocation) await callbacks.finished(invocation);
        // So many have ended since that its record was dropped.
        else if (isAccepted) await callbacks.finished(forgotten(id));
        else if (ageMs > additionMs) await callbacks.forget(id);
      }
    }
  }

  async function lookRegularly() {
    while (!closing.signal.aborted) {
      await look().catch(onError);
      await delay(lookEveryMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }
  const looking = lookRegularly();

  return {
    async close() {
      closing.abort();
      await looking;
    },
  };
}
