import { setTimeout as delay } from 'node:timers/promises';
import { holdIfCrowded, letTenantIn, tenantsHeld } from '../queue/tenant-share.ts';
import type { Redis } from '../shared/redis.ts';

const retryMs = 500;

export interface TenantShareOptions {
  redis: Redis;
  /** How many jobs this worker runs at once. */
  places: number;
  /** Whether there is more than one tenant: else all places are that one's. */
  isShared: () => boolean;
  /** How many jobs of a tenant are here, those included that were taken just now. */
  countOf: (tenant: string) => number;
  onError: (error: unknown) => void;
}

/** Keeps a tenant from taking the last places, so that another's call finds one whatever that tenant's programs do. */
export interface TenantShare {
  /**
   * Whether the job is to be run now: else it is not ours any more. Costs nothing until its tenant has its part of
   * this worker's places; then Redis says whether there are others.
   */
  mayRun(id: string, token: string, tenant: string): Promise<boolean>;
  /** One of the tenant is here no more. */
  ended(tenant: string): void;
  /** Lets in who was held by a worker that is gone, or may run elsewhere. */
  sweep(): Promise<void>;
}

export function createTenantShare(options: TenantShareOptions): TenantShare {
  const { redis, places, isShared, countOf, onError } = options;
  const share = places - Math.max(1, Math.floor(places / 8));
  /** Those of whom some may be held. */
  const crowded = new Set<string>();

  async function letIn(tenant: string, most?: number): Promise<void> {
    const bounds = most === undefined ? {} : { most };
    const left = await letTenantIn(redis, { tenant, places, isShared: isShared(), ...bounds });
    if (left === 0) crowded.delete(tenant);
  }

  return {
    async mayRun(id, token, tenant) {
      if (places === 1 || countOf(tenant) <= share || !isShared()) return true;
      for (;;) {
        // First, as one that ends before we have the answer looks for it.
        crowded.add(tenant);
        try {
          const became = await holdIfCrowded(redis, { id, token, tenant, places });
          if (became === 'held') crowded.add(tenant);
          return became === 'runs';
        } catch (error) {
          // It may have been held all the same, so it cannot be run before that is known.
          if (redis.status === 'end') throw error;
          onError(error);
          await delay(retryMs);
        }
      }
    },

    ended(tenant) {
      if (crowded.has(tenant)) letIn(tenant, 1).catch(onError);
    },

    async sweep() {
      for (const tenant of await tenantsHeld(redis)) {
        crowded.add(tenant);
        await letIn(tenant);
      }
    },
  };
}
