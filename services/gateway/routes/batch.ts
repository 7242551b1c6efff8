import { type Context, Hono } from 'hono';
import { type BatchItem, batchRequestSchema } from '../../../sdk/contract/batch.ts';
import { idempotencyOf } from '../../queue/idempotency.ts';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { InvocationRequest } from '../../queue/invocation-queue.ts';
import { accept, callbackOf } from '../accept.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { findFunction } from '../function-request.ts';
import { invocationOptions } from '../invocation-options.ts';
import { toPlatformError } from '../middleware/on-error.ts';
import { readJson } from '../read-body.ts';

/** `POST /v1/functions/:name/batch`: an asynchronous call for each event; one that is refused does not stop the others. */
export function batchRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  const { ONCEBOX_BODY_MAX_BYTES } = deps.config;

  /** The requests go to Redis one behind the other, and none waits for the answer to the one before. */
  async function enqueue(
    c: Context<GatewayEnv>,
    id: string,
    request: Omit<InvocationRequest, 'tenant'>,
    key: string | undefined,
  ): Promise<BatchItem> {
    const tenant = c.get('tenant');
    const idempotency = key === undefined ? undefined : idempotencyOf(tenant, key, request);
    try {
      const job = { ...request, tenant, receivedAtMs: c.get('receivedAtMs') };
      return { id: await accept(deps, id, job, idempotency), status: 'queued' };
    } catch (error) {
      const { code, message, details } = toPlatformError(error as Error);
      if (code === 'internal') c.get('logger').error({ err: error, invocationId: id }, 'batch item failed');
      if (details.retryAfterSeconds !== undefined) c.header('retry-after', String(details.retryAfterSeconds));
      const { invocationId } = details;
      return { error: { code, message, ...(invocationId !== undefined && { invocationId }) } };
    }
  }

  return new Hono<GatewayEnv>().post('/functions/:ref/batch', async (c) => {
    const called = await findFunction(deps, c.req.param('ref'), c.get('tenant'));
    const { value } = await readJson(c, ONCEBOX_BODY_MAX_BYTES, { data: ['events'] });
    const { events, options = [] } = batchRequestSchema.parse(value);
    const callback = callbackOf(c.req.header('oncebox-callback'));
    const common = invocationOptions(c);
    const invocations = await Promise.all(
      events.map((event, at) => {
        const id = newInvocationId();
        const { priority = common.priority, callback: url } = options[at] ?? {};
        const request = {
          ...called.request(id, JSON.stringify(event)),
          ...callback,
          ...callbackOf(url),
          priority,
        };
        // A space is in no key that a caller can give.
        const key = common.idempotencyKey === undefined ? undefined : `${common.idempotencyKey} ${at}`;
        return enqueue(c, id, request, key);
      }),
    );
    return c.json({ invocations }, 202);
  });
}
