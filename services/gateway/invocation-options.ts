import type { Context } from 'hono';
import { invocationHeadersSchema, type Priority } from '../../sdk/contract/invocation-options.ts';

export interface InvocationOptions {
  /** The caller does not wait for the result. */
  isAsync: boolean;
  priority: Priority;
  idempotencyKey: string | undefined;
}

/** What the headers of any request that invokes say of how. Throws a ZodError that names the header. */
export function invocationOptions(c: Context): InvocationOptions {
  const headers = invocationHeadersSchema.parse({
    'idempotency-key': c.req.header('idempotency-key'),
    'oncebox-priority': c.req.header('oncebox-priority'),
  });
  return {
    isAsync: prefersAsync(c.req.header('prefer')),
    priority: headers['oncebox-priority'],
    idempotencyKey: headers['idempotency-key'],
  };
}

/** RFC 7240: a list of preferences, each with parameters. */
function prefersAsync(prefer: string | undefined): boolean {
  return (prefer ?? '')
    .split(',')
    .some((item) => item.split(';')[0]?.trim().toLowerCase() === 'respond-async');
}
