import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { tenantNameSchema } from '../../../sdk/contract/tenant.ts';
import type { Config } from '../../shared/config.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { Authenticator } from '../../tenants/authenticator.ts';
import { anybody, type Identity, mayDo } from '../../tenants/identity.ts';
import { accessOf } from '../access-rules.ts';
import type { GatewayEnv } from '../deps.ts';
import { isSigned, signedIdentity } from '../lambda/signature.ts';

const nobody: Identity = { tenant: anybody.tenant, scopes: new Set() };

/**
 * Says who calls: `identity`, and the tenant that the request is for, which an admin may choose by `Oncebox-Tenant`. Where
 * keys are asked for, a request without a right one is a 401; but for what is open to all.
 */
export function authenticate(
  authenticator: Authenticator | undefined,
  { ONCEBOX_BODY_MAX_BYTES: maxBytes }: Pick<Config, 'ONCEBOX_BODY_MAX_BYTES'>,
): MiddlewareHandler<GatewayEnv> {
  return async (c, next) => {
    const identity = !authenticator
      ? anybody
      : isSigned(c)
        ? await signedIdentity(c, authenticator, maxBytes)
        : await identityOf(c, authenticator);
    c.set('identity', identity);
    c.set('tenant', tenantOf(c, identity));
    if (identity.keyId !== undefined)
      c.set('logger', c.get('logger').child({ tenant: c.get('tenant'), keyId: identity.keyId }));
    await next();
  };
}

async function identityOf(c: Context<GatewayEnv>, authenticator: Authenticator): Promise<Identity> {
  const key = takeKey(c);
  // A key that is given is not looked at where none is needed: health checks go on without Redis.
  if (accessOf(c.req.method, routePath(c, -1)) === 'open') return nobody;
  if (key === undefined) {
    throw new PlatformError(
      'unauthorized',
      'this platform asks for a key: send it as "Authorization: Bearer ocb_…" or as "x-api-key"',
    );
  }
  const identity = await authenticator.identify(key);
  // The same words for all that can be wrong with it: who guesses learns nothing.
  if (!identity) throw new PlatformError('unauthorized', 'the key is not valid');
  return identity;
}

/**
 * The key of the request, which is taken out of it: what hands headers on to user code cannot hand on this one. With
 * `x-api-key`, `Authorization` is the function's.
 */
function takeKey(c: Context<GatewayEnv>): string | undefined {
  const { headers } = c.req.raw;
  const apiKey = c.req.header('x-api-key');
  const bearer = /^Bearer +(\S+) *$/i.exec(c.req.header('authorization') ?? '')?.[1];
  if (apiKey !== undefined) headers.delete('x-api-key');
  if (bearer !== undefined && (apiKey === undefined || bearer.startsWith('ocb_')))
    headers.delete('authorization');
  return apiKey ?? bearer;
}

function tenantOf(c: Context<GatewayEnv>, identity: Identity): string {
  const wanted = c.req.header('oncebox-tenant');
  if (wanted === undefined || wanted === identity.tenant) return identity.tenant;
  const parsed = tenantNameSchema.safeParse(wanted);
  if (!parsed.success) {
    throw new PlatformError('invalid_request', `the tenant's name ${parsed.error.issues[0]?.message}`, {
      field: 'oncebox-tenant',
    });
  }
  if (!mayDo(identity, 'admin'))
    throw new PlatformError('forbidden', 'another tenant than the key\'s own needs the scope "admin"');
  return parsed.data;
}
