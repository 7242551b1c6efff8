import { type Context, Hono } from 'hono';
import {
  inputPieceMaxBytes,
  signalRequestSchema,
  stdinParametersSchema,
} from '../../../sdk/contract/input.ts';
import { type Added, type NumberedPiece, signalNumber } from '../../queue/input-feed.ts';
import { isInvocationId } from '../../queue/invocation-id.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readBody, readJson, wellFormed } from '../read-body.ts';
import { known } from './invocations.ts';

/** How long a piece waits for a program that does not read, before its sender is asked to come again. */
const waitMs = 10_000;

/**
 * `PUT /v1/invocations/:id/stdin/:number` and `POST /v1/invocations/:id/signal`: what an interactive invocation is told while
 * it runs. 204 once it is on Redis, in whatever state the invocation is by then.
 */
export function inputRoutes({ queue, held }: GatewayDeps): Hono<GatewayEnv> {
  async function add(c: Context<GatewayEnv>, piece: NumberedPiece): Promise<Response> {
    const id = c.req.param('id') ?? '';
    const tenant = c.get('tenant');
    const addWithin = async (ms: number): Promise<Added> =>
      isInvocationId(id) ? queue.inputs.add(id, tenant, piece, ms) : 'closed';
    let added = await addWithin(0);
    if (added === 'full') {
      const place = held.take(tenant);
      added = await addWithin(waitMs).finally(place.giveUp);
    }
    if (added === 'added') return c.body(null, 204);
    // A 404 where there is none.
    if (added === 'closed') await known(c, queue.get);
    throw refusal(added);
  }

  return new Hono<GatewayEnv>()
    .put('/invocations/:id/stdin/:number', async (c) => {
      const { number } = stdinParametersSchema.parse(c.req.param());
      return add(c, { lane: 'stdin', number, bytes: await readBody(c, inputPieceMaxBytes) });
    })
    .post('/invocations/:id/signal', async (c) => {
      const { text, value } = await readJson(c, inputPieceMaxBytes);
      const { signal } = signalRequestSchema.parse(wellFormed(value, text));
      return add(c, { lane: 'signal', bytes: Buffer.from(`${signalNumber(signal)}`) });
    });
}

function refusal(added: Exclude<Added, 'added'>): PlatformError {
  switch (added) {
    case 'full':
      return new PlatformError('input_full', 'the program has not taken what it was sent before', {
        retryAfterSeconds: 1,
      });
    case 'gap':
      return new PlatformError('input_refused', 'the piece before this one has not come', {
        field: 'number',
      });
    case 'ended':
      return new PlatformError('input_refused', 'its stdin has ended');
    case 'closed':
      return new PlatformError(
        'input_refused',
        'it takes no input: it is over, or was not started with "interactive": true',
      );
  }
}
