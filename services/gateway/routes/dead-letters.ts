import { type Context, Hono } from 'hono';
import { deadLetterQuerySchema } from '../../../sdk/contract/dead-letter.ts';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import { deadLetterOf, type StoredDeadLetter } from '../../queue/dead-letters.ts';
import { redriveOnce } from '../../queue/idempotency.ts';
import { isInvocationId, newInvocationId } from '../../queue/invocation-id.ts';
import type { InvocationRequest } from '../../queue/invocation-queue.ts';
import { unfinishedInvocation } from '../../queue/record.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import { accept } from '../accept.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { findFunction } from '../function-request.ts';

/** `GET /v1/dead-letters`, and `GET`, `DELETE` and `POST …/redrive` of one. */
export function deadLetterRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  const { queue } = deps;
  const { deadLetters } = queue;

  async function known(tenant: string, id: string): Promise<StoredDeadLetter> {
    const letter = isInvocationId(id) ? await deadLetters.get(tenant, id) : undefined;
    if (!letter) throw noDeadLetter();
    return letter;
  }

  /** As if it were called now, by the same name: the function may have been mended since, or been given more memory. */
  async function request({ job, invocation }: StoredDeadLetter, id: string): Promise<InvocationRequest> {
    const { tenant, function: called, program, callback, priority, diff } = job;
    if (!called || !('eventJson' in program)) throw noDeadLetter();
    const current = await findFunction(deps, job.reference ?? called.name, tenant);
    const { eventJson, context } = program;
    const http = program.kind === 'handler' && program.http === true;
    const again = current.request(id, eventJson, { diff, http, clientContext: context.clientContext });
    return { ...again, tenant, callback, priority, redriveOf: invocation.id };
  }

  function accepted(c: Context<GatewayEnv>, invocation: Invocation | undefined): Response {
    if (!invocation) throw noDeadLetter();
    const { id } = invocation;
    const headers = { location: `/v1/invocations/${id}`, 'oncebox-invocation-id': id };
    return c.json(invocation, 202, headers);
  }

  return new Hono<GatewayEnv>()
    .get('/dead-letters', async (c) => {
      const query = deadLetterQuerySchema.parse(c.req.query());
      return c.json({ deadLetters: await deadLetters.list(c.get('tenant'), query) });
    })
    .get('/dead-letters/:id', async (c) =>
      c.json(deadLetterOf(await known(c.get('tenant'), c.req.param('id')))),
    )
    .delete('/dead-letters/:id', async (c) => {
      const id = c.req.param('id');
      const wasThere = isInvocationId(id) && (await deadLetters.remove(c.get('tenant'), id));
      if (!wasThere) throw noDeadLetter();
      return c.body(null, 204);
    })
    .post('/dead-letters/:id/redrive', async (c) => {
      const tenant = c.get('tenant');
      const deadId = c.req.param('id');
      if (!isInvocationId(deadId)) throw noDeadLetter();
      const once = redriveOnce(tenant, deadId);
      // Asked for a second time, the dead letter is gone, and what runs in its place is known.
      let before = await queue.knownTo(once);
      const letter = before === undefined ? await deadLetters.get(tenant, deadId) : undefined;
      // Another request may have run it again between the two looks.
      if (!letter) before ??= await queue.knownTo(once);
      if (before !== undefined) return accepted(c, await queue.get(before, tenant));
      if (!letter) throw noDeadLetter();
      const id = newInvocationId();
      const origin = { requestId: c.get('requestId'), trace: c.get('span').context };
      const job = { ...(await request(letter, id)), ...origin, receivedAtMs: c.get('receivedAtMs') };
      // Who was to be told of the first one's end is told of this one's.
      const acceptedId = await accept(deps, id, job, once);
      await deadLetters.remove(tenant, deadId);
      // As it was when it was accepted; one that was redriven by another request may have got on.
      const isOurs = acceptedId === id;
      return accepted(
        c,
        isOurs ? unfinishedInvocation(id, job, 'queued') : await queue.get(acceptedId, tenant),
      );
    });
}

function noDeadLetter(): PlatformError {
  return new PlatformError('dead_letter_not_found', 'there is no dead letter of this invocation');
}
