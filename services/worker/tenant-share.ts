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
  /** One of the tenant that was not held is here no more. */
  ended(tenant: string): void;
  /** Lets in who was held by a worker that is gone, or may run elsewhere. */
  sweep(): Promise<void>;
}

export function createTenantShare(options: TenantShareOptions): TenantShare {
  const { redis, places, isShared, countOf, onError } = options;
  const share = places - Math.max(1, Math.floor(places / 8));
  /** Those of whom some may be held. */
  const crowded = new Set<string>();
  /** Of those who are being let in: how many ended since. */
  const ends = new Map<string, number>();
  /** Whether another of the tenant ended while Redis was asked. */
  const asking = new Set<{ tenant: string; hasEnded: boolean }>();

  async function letIn(tenant: string, most?: number): Promise<void> {
    const bounds = most === undefined ? {} : { most };
    const left = await letTenantIn(redis, { tenant, places, isShared: isShared(), ...bounds });
    if (left === 0) crowded.delete(tenant);
  }

  /** One question to Redis at a time, however many end. */
  async function letInForEnded(tenant: string): Promise<void> {
    const isUnderWay = ends.has(tenant);
    ends.set(tenant, (ends.get(tenant) ?? 0) + 1);
    if (isUnderWay) return;
    try {
      for (let most = ends.get(tenant); most; most = ends.get(tenant)) {
        ends.set(tenant, 0);
        await letIn(tenant, most);
      }
    } finally {
      ends.delete(tenant);
    }
  }

  async function hold(id: string, token: string, tenant: string): Promise<boolean> {
    for (;;) {
      try {
        const became = await holdIfCrowded(redis, { id, token, tenant, places });
        if (became !== 'runs') crowded.add(tenant);
        return became !== 'runs';
      } catch (error) {
        // It may have been held all the same, so it cannot be run before that is known.
        if (redis.status === 'end') throw error;
        onError(error);
        await delay(retryMs);
      }
    }
  }

  return {
    async mayRun(id, token, tenant) {
      if (places === 1 || !isShared() || countOf(tenant) <= share) return true;
      const question = { tenant, hasEnded: false };
      asking.add(question);
      try {
        const isHeld = await hold(id, token, tenant);
        // It was not known yet that there is one to be let in.
        if (isHeld && question.hasEnded) letInForEnded(tenant).catch(onError);
        return !isHeld;
      } finally {
        asking.delete(question);
      }
    },

    ended(tenant) {
      for (const question of asking) if (question.tenant === tenant) question.hasEnded = true;
      if (crowded.has(tenant)) letInForEnded(tenant).catch(onError);
    },

    async sweep() {
      for (const tenant of await tenantsHeld(redis)) {
        crowded.add(tenant);
        await letIn(tenant).catch(onError);
      }
    },
  };
}
