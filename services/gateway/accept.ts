import { callbackUrlSchema } from '../../sdk/contract/callback.ts';
import type { Idempotency } from '../queue/idempotency.ts';
import type { InvocationRequest } from '../queue/invocation-queue.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { GatewayDeps } from './deps.ts';

/** As `enqueue` of an invocation for whose result nobody waits here: who is to be called back is written down with it. */
export async function accept(
  { queue, callbacks }: Pick<GatewayDeps, 'queue' | 'callbacks'>,
  id: string,
  request: InvocationRequest,
  idempotency?: Idempotency,
): Promise<string> {
  const { callback, tenant } = request;
  if (callback === undefined) return queue.enqueue(id, request, idempotency);
  await callbacks.expect(id, tenant, callback.url);
  let acceptedId: string;
  try {
    acceptedId = await queue.enqueue(id, request, idempotency);
  } catch (error) {
    // With an id it may have been taken all the same: then its end is told.
    const isRefused = error instanceof PlatformError && error.details.invocationId === undefined;
    if (isRefused) await callbacks.forget(id).catch(() => {});
    throw error;
  }
  // An earlier request's said itself who is to be called back. What cannot be noted now does not undo the acceptance: the end
  // of what was enqueued is told all the same, and what was not is forgotten in time.
  const noted = acceptedId === id ? callbacks.accepted(id) : callbacks.forget(id);
  await noted.catch(() => {});
  return acceptedId;
}

/** The header `Oncebox-Callback`, which asks for a POST of the finished record. Throws `invalid_request`. */
export function callbackOf(header: string | undefined): Pick<InvocationRequest, 'callback'> {
  if (header === undefined) return {};
  const parsed = callbackUrlSchema.safeParse(header);
  if (parsed.success) return { callback: { url: new URL(parsed.data).href } };
  const field = 'oncebox-callback';
  throw new PlatformError('invalid_request', `${field}: ${parsed.error.issues[0]?.message}`, { field });
}
