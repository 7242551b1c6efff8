import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { Hono } from 'hono';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import type { GatewayMetrics } from '../metrics.ts';

/** A node that does not answer within this time is not waited for, milliseconds. */
const nodeAnswersWithinMs = 2_000;
/** So old its figures may be: for each text the node asks every zone, and whoever asks us need not be one alone. */
const nodeTextKeptMs = 1_000;

/**
 * `GET /metrics`: the gateway's figures and, below, those of the node on its machine. No name is in both, so the two
 * texts together are one.
 */
export function metricsRoutes(
  { config, queue, callbacks, logger }: GatewayDeps,
  metrics: GatewayMetrics,
): Hono<GatewayEnv> {
  let asked: { atMs: number; text: Promise<string> } | undefined;
  function recentNodeText(): Promise<string> {
    if (asked && performance.now() - asked.atMs < nodeTextKeptMs) return asked.text;
    const asking = { atMs: performance.now(), text: nodeText(config.nodeSocket) };
    asked = asking;
    // A node that has just come is asked anew.
    asking.text.catch(() => {
      if (asked === asking) asked = undefined;
    });
    return asking.text;
  }

  return new Hono<GatewayEnv>().get('/metrics', async (c) => {
    const [ofNode, ofQueue, callbacksPending] = await Promise.all([
      recentNodeText().catch((error: unknown) => {
        logger.debug({ err: error }, 'the node does not tell its figures');
        return undefined;
      }),
      // Without Redis the other figures are worth the more.
      queue.figures().catch(() => undefined),
      callbacks.pending().catch(() => undefined),
    ]);
    const own = await metrics.text({ queue: ofQueue, callbacksPending, isNodeUp: ofNode !== undefined });
    return c.body(own + (ofNode ?? ''), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
  });
}

async function nodeText(socketPath: string): Promise<string> {
  const signal = AbortSignal.timeout(nodeAnswersWithinMs);
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/metrics', signal }, (incoming) => {
      if (incoming.statusCode === 200) return resolve(text(incoming));
      incoming.resume();
      reject(new Error(`the node answered ${incoming.statusCode}`));
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}
