import { z } from 'zod';
import { type FunctionSettings, functionSettingsSchema } from '../../sdk/contract/function-settings.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { tenantKeys } from './keys.ts';

/**
 * A function's hash; its settings are the field `settings`, and go with it. Only for names that functions have: another may
 * have a ":" in it, and be another tenant's function.
 */
export const functionHashKey = (tenant: string, name: string): string =>
  `oncebox:function:${tenant === defaultTenant ? '' : `${tenant}:`}${name}`;

/** Written only where the function is. KEYS: function hash. ARGV: JSON. */
const putScript = `
if redis.call('HEXISTS', KEYS[1], 'current') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'settings', ARGV[1])
return 1`;

/** Read tolerantly: another release may have written them. */
const storedSchema = z.object(functionSettingsSchema.shape);

/** What holds for all versions of a function. */
export interface Settings {
  /** Sets all of them. Throws `function_not_found`. */
  putSettings(name: string, settings: FunctionSettings, tenant?: string): Promise<void>;
  /** Throws `function_not_found`. */
  getSettings(name: string, tenant?: string): Promise<FunctionSettings>;
}

export function createSettings(redis: Redis): Settings {
  return {
    async putSettings(name, settings, tenant = defaultTenant) {
      const put = await redis.eval(putScript, 1, tenantKeys(tenant).function(name), JSON.stringify(settings));
      if (put === 0) throw notFound(name);
    },
    async getSettings(name, tenant = defaultTenant) {
      const [current, text] = await redis.hmget(tenantKeys(tenant).function(name), 'current', 'settings');
      if (current == null) throw notFound(name);
      return parse(text);
    },
  };
}

/** Of a function that may be gone: then none. */
export async function settingsOf(redis: Redis, tenant: string, name: string): Promise<FunctionSettings> {
  return parse(await redis.hget(functionHashKey(tenant, name), 'settings'));
}

function parse(text: string | null | undefined): FunctionSettings {
  const parsed = storedSchema.safeParse(text == null ? {} : JSON.parse(text));
  return parsed.success ? parsed.data : {};
}

function notFound(name: string): PlatformError {
  return new PlatformError('function_not_found', `there is no function "${name}"`);
}
