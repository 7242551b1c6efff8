import { type Context, Hono } from 'hono';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import { isInvocationId } from '../../queue/invocation-id.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';

/** `GET` and `DELETE /v1/invocations/:id`: the record, and cancelling. `GET …/files`: what it left behind, a tar. */
export function invocationRoutes({ queue, callbacks }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .get('/invocations/:id', async (c) => {
      const invocation = await known(c, queue.get);
      const callback = await callbacks.state(invocation.id);
      return c.json({ ...invocation, ...(callback && { callback }) });
    })
    .get('/invocations/:id/files', async (c) => {
      const { id, diffError } = await known(c, queue.get);
      const tar = await queue.files(id);
      if (!tar) {
        const reason = diffError ?? 'they are kept with "diff": "archive", as long as the record';
        throw new PlatformError('invocation_not_found', `there are no files of this invocation: ${reason}`);
      }
      return c.body(new Uint8Array(tar), 200, {
        'content-type': 'application/x-tar',
        'content-disposition': `attachment; filename="${id}.tar"`,
      });
    })
    .delete('/invocations/:id', async (c) => {
      const invocation = await known(c, queue.cancel);
      // One that waited has no worker to tell of its end.
      if (invocation.status === 'done') await callbacks.finished(invocation);
      // 202: the worker has been told; the record says when it is over.
      return c.json(invocation, invocation.status === 'running' ? 202 : 200);
    });
}

/** Another tenant's is not known. */
export async function known(
  c: Context<GatewayEnv>,
  read: (id: string, tenant: string) => Promise<Invocation | undefined>,
): Promise<Invocation> {
  const id = c.req.param('id') ?? '';
  const invocation = isInvocationId(id) ? await read(id, c.get('tenant')) : undefined;
  if (!invocation) throw new PlatformError('invocation_not_found', 'there is no record of this invocation');
  return invocation;
}
