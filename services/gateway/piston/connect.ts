import type { IncomingMessage } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Context } from 'hono';
import { WebSocketServer } from 'ws';
import { defaultPriority } from '../../../sdk/contract/invocation-options.ts';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { languageRun } from '../language-run.ts';
import { toPlatformError } from '../middleware/on-error.ts';
import { openSession } from '../session.ts';
import { startEnqueueSpan } from '../trace-request.ts';
import { UpgradeResponse } from '../upgrade.ts';
import { converse, type Started } from './conversation.ts';
import { onPistonNotFound } from './errors.ts';
import { parseExecute } from './execute-request.ts';
import { findRuntime } from './runtimes.ts';

/** `GET connect`: becomes a websocket on which one program is run, which can be talked to. */
export function connectHandler(deps: GatewayDeps) {
  const { ONCEBOX_BODY_MAX_BYTES, ONCEBOX_MAX_LIMITS: maxima } = deps.config;
  const websockets = new WebSocketServer({ noServer: true, maxPayload: ONCEBOX_BODY_MAX_BYTES });

  return (c: Context<GatewayEnv>): Response => {
    const { incoming, outgoing } = (c.env ?? {}) as { incoming?: IncomingMessage; outgoing?: unknown };
    if (!incoming || !(outgoing instanceof UpgradeResponse)) return onPistonNotFound(c);
    const place = deps.held.take(c.get('tenant'));
    const { socket, head } = outgoing.takeOver();
    socket.once('close', place.giveUp);
    websockets.handleUpgrade(incoming, socket, head, (websocket) =>
      converse(websocket, {
        start: (message) => start(c, message),
        messageOf: (error) => messageOf(c, error as Error),
        stdinMaxBytes: ONCEBOX_BODY_MAX_BYTES,
        logger: c.get('logger'),
      }),
    );
    return RESPONSE_ALREADY_SENT;
  };

  async function start(c: Context<GatewayEnv>, message: unknown): Promise<Started> {
    const find = (name: string, version: string) => findRuntime(deps, name, version);
    const { language, run } = await parseExecute(message, { maxima, find });
    const id = newInvocationId();
    const enqueuing = startEnqueueSpan(deps.tracing, c.get('span'), id);
    try {
      const job = {
        ...(await languageRun(deps, run)),
        // As there: what it reads is what comes as messages.
        stdin: '',
        tenant: c.get('tenant'),
        priority: defaultPriority,
        requestId: c.get('requestId'),
        trace: enqueuing.context,
      };
      return { language, session: await openSession(deps, { id, job }) };
    } finally {
      enqueuing.end();
    }
  }
}

function messageOf(c: Context<GatewayEnv>, error: Error): string {
  // More was sent than a session takes.
  if (error instanceof RangeError) return error.message;
  const { code, message } = toPlatformError(error);
  if (code === 'internal') c.get('logger').error({ err: error }, 'websocket failed');
  return message;
}
