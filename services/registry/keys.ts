import { functionNameSchema } from '../../sdk/contract/function.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { PlatformError } from '../shared/platform-error.ts';

/*
 * Where the registry keeps things on Redis. A tenant's name has no ":", so no two keys are one. What belongs to the
 * default tenant lies where releases without tenants put it.
 *   oncebox:function-tenants             set of the tenants that have functions
 *   oncebox:functions[:<tenant>]         set of names
 *   oncebox:function:[<tenant>:]<name>   hash: current, last → numbers; version:<n> → JSON; layer:<n>; digest:<digest> → n;
 *                                        secrets:<n> → names with blanks between them;
 *                                        image:<n> → JSON of the image's texts; history → numbers that were current,
 *                                        each with a blank behind it; alias:<alias> → JSON;
 *                                        label:<n>:<label>, label::<label> → what was put on a version, or the function, later
 *   oncebox:layer:<hex>                  the code layer's tar
 *   oncebox:layer-users:<hex>            set of the functions that use it, as `<tenant>:<name>`, or the name
 */

export const tenantsKey = 'oncebox:function-tenants';

/** Where the tar of a code layer lies, so that a worker on any machine can fetch it. Tenants with equal code share it. */
export const layerKey = (hex: string) => `oncebox:layer:${hex}`;
export const layerUsersKey = (hex: string) => `oncebox:layer-users:${hex}`;

export interface TenantKeys {
  tenant: string;
  /** Of the set of names. */
  names: string;
  /** Throws `function_not_found` where that can be no function's name: with a ":" it would be another tenant's. */
  function(name: string): string;
  /** What stands for the function among a layer's users. */
  user(name: string): string;
}

export function tenantKeys(tenant: string = defaultTenant): TenantKeys {
  const own = (name: string) => (tenant === defaultTenant ? name : `${tenant}:${name}`);
  return {
    tenant,
    names: tenant === defaultTenant ? 'oncebox:functions' : `oncebox:functions:${tenant}`,
    function(name) {
      if (!functionNameSchema.safeParse(name).success) throw functionNotFound(name);
      return `oncebox:function:${own(name)}`;
    },
    user: own,
  };
}

export function functionNotFound(name: string): PlatformError {
  return new PlatformError(
    'function_not_found',
    `there is no function ${JSON.stringify(name.slice(0, 120))}`,
  );
}
