import type { Alias } from '../../sdk/contract/alias.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { aliasesIn } from './aliases.ts';
import { tenantKeys, tenantsKey } from './keys.ts';

/** A version of which sandboxes are to be kept parked. */
export interface KeptVersion<Found> {
  tenant: string;
  count: number;
  found: Found;
}

/**
 * Of all tenants' functions of which `countOf` their settings is more than none, the versions that are called without
 * their number: of the name, and of each alias.
 */
export async function keptVersions<Found>(
  redis: Redis,
  countOf: (settings: unknown) => number,
  find: (tenant: string, name: string, version: string) => Promise<Found>,
): Promise<KeptVersion<Found>[]> {
  const tenants = new Set([defaultTenant, ...(await redis.smembers(tenantsKey))]);
  const kept: KeptVersion<Found>[] = [];
  for (const keys of [...tenants].map((tenant) => tenantKeys(tenant))) {
    const names = (await redis.smembers(keys.names)).sort();
    const pipeline = redis.pipeline();
    for (const name of names) pipeline.hmget(keys.function(name), 'settings', 'current');
    const replies = ((await pipeline.exec()) ?? []).map(([, reply]) => (reply ?? []) as (string | null)[]);
    for (const [at, name] of names.entries()) {
      const [settings, current] = replies[at] ?? [];
      const count = settings == null ? 0 : countOf(JSON.parse(settings));
      if (count === 0 || current == null) continue;
      const aliases = await aliasesOf(redis, keys.function(name));
      for (const [version, ofVersion] of countsOf(count, Number(current), aliases)) {
        const found = await find(keys.tenant, name, String(version)).catch(unlessGone);
        if (found) kept.push({ tenant: keys.tenant, count: ofVersion, found });
      }
    }
  }
  return kept;
}

/** Without its versions, which are large. */
async function aliasesOf(redis: Redis, key: string): Promise<Alias[]> {
  const fields = (await redis.hkeys(key)).filter((field) => field.startsWith('alias:'));
  if (fields.length === 0) return [];
  const texts = await redis.hmget(key, ...fields);
  return aliasesIn(
    Object.fromEntries(
      fields.flatMap((field, at) => (texts[at] == null ? [] : [[field, texts[at] as string]])),
    ),
  );
}

/** The name has as many as are asked for, and so has each alias; what several of them call has as many as the one that needs most. */
function countsOf(count: number, current: number, aliases: readonly Alias[]): Map<number, number> {
  const counts = new Map([[current, count]]);
  for (const { version, weights } of aliases) {
    const others = Object.entries(weights).map(([other, share]) => [Number(other), share] as const);
    const rest = 1 - others.reduce((sum, [, share]) => sum + share, 0);
    for (const [called, share] of [[version, rest] as const, ...others]) {
      // Sums of tenths are not exact, and a part of a millionth is none.
      const needed = Math.ceil(Number((count * share).toFixed(6)));
      if (needed > 0) counts.set(called, Math.max(needed, counts.get(called) ?? 0));
    }
  }
  return counts;
}

/** Deleted between two reads. */
function unlessGone(error: unknown): undefined {
  if (!(error instanceof PlatformError)) throw error;
}
