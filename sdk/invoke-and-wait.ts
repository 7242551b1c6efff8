import { invocationSchema } from './contract/invocation.ts';
import { type InvocationOptions, invocationRequest } from './invocation-headers.ts';
import { call, type Send, type SendOptions } from './send.ts';

/**
 * Invokes, and resolves with the reply when it is finished. Who aborts has it cancelled. With a key of the caller's own it
 * goes on, as with that somebody may come back for it.
 */
export function invokeAndWait(
  send: Send,
  path: string,
  json: unknown,
  options: InvocationOptions = {},
): Promise<Response> {
  const request = { ...invocationRequest(options), json };
  // Without a key, hanging up is enough; the one that is made here nobody else knows.
  if (options.idempotencyKey !== undefined) return send('POST', path, request);
  const { signal: _aborted, ...repeated } = request;
  // Nobody waits for it: where it fails, the invocation's own limits end it.
  const onLeft = () => void cancelByKey(send, path, repeated).catch(() => {});
  return send('POST', path, { ...request, onLeft });
}

/** Sent again, without waiting, a request with a key tells the id of what the key stands for. */
async function cancelByKey(send: Send, path: string, request: SendOptions): Promise<void> {
  const headers = { ...request.headers, prefer: 'respond-async' };
  const { id } = await call(send, invocationSchema, 'POST', path, { ...request, headers });
  await send('DELETE', `/v1/invocations/${id}`);
}
