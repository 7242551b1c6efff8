import { setTimeout as delay } from 'node:timers/promises';

/** All that a tenant stores is looked up, in one script that everybody's Redis waits for: so often at most. */
const pauseMs = 1_000;

export interface DeadLetterFitter {
  /** To be told of each dead letter that is kept. */
  kept(tenant: string, id: string): void;
  /** Once no more are kept: resolves when the last ones have been made to fit. */
  close(): Promise<void>;
}

export interface DeadLetterFitterOptions {
  /** Makes a tenant's dead letters fit; `newIds`: those kept since it was called last. */
  makeFit: (tenant: string, newIds: string[]) => Promise<void>;
  onError: (error: unknown) => void;
}

/**
 * Has tenants' dead letters made to fit, each tenant's once at a time and once a second at most, so that a tenant may have
 * a second's too many. No invocation waits for it.
 */
export function createDeadLetterFitter({ makeFit, onError }: DeadLetterFitterOptions): DeadLetterFitter {
  const closing = new AbortController();
  const newIds = new Map<string, string[]>();
  const running = new Map<string, Promise<void>>();

  async function run(tenant: string): Promise<void> {
    for (let ids = newIds.get(tenant); ids; ids = newIds.get(tenant)) {
      newIds.delete(tenant);
      try {
        await makeFit(tenant, ids);
      } catch (error) {
        onError(error);
      }
      await delay(pauseMs, undefined, { signal: closing.signal }).catch(() => {});
    }
    running.delete(tenant);
  }

  return {
    kept(tenant, id) {
      const others = newIds.get(tenant);
      if (others) others.push(id);
      else newIds.set(tenant, [id]);
      if (!running.has(tenant)) running.set(tenant, run(tenant));
    },
    async close() {
      closing.abort();
      await Promise.all(running.values());
    },
  };
}
