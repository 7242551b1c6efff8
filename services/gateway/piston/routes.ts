import { type Context, Hono } from 'hono';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch } from '../dispatch.ts';
import { languageRun } from '../language-run.ts';
import { readJson, wellFormed } from '../read-body.ts';
import { connectHandler } from './connect.ts';
import { isJson, notJson } from './errors.ts';
import { executeReply } from './execute-reply.ts';
import { parseExecute } from './execute-request.ts';
import { changePackage } from './packages.ts';
import { findRuntime, listPackages, listRuntimes } from './runtimes.ts';

/**
 * The API of Piston, version 2, for clients that were written for that: its words and shapes over the same contract as
 * `/v1/run` (docs/piston.md).
 */
export function pistonRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  const { ONCEBOX_BODY_MAX_BYTES, ONCEBOX_MAX_LIMITS: maxima } = deps.config;

  async function bodyOf(c: Context<GatewayEnv>): Promise<unknown> {
    const { text, value } = await readJson(c, ONCEBOX_BODY_MAX_BYTES);
    return wellFormed(value, text);
  }

  /** Express takes both, and so do its clients. */
  const both = (path: string) => [path, `${path}/`];

  return new Hono<GatewayEnv>()
    .on('GET', both('/runtimes'), async (c) => c.json(await listRuntimes(deps)))
    .on('GET', both('/packages'), async (c) => c.json(await listPackages(deps)))
    .on(['POST', 'DELETE'], both('/packages'), async (c) =>
      isJson(c) ? changePackage(c, deps, await bodyOf(c)) : notJson(c),
    )
    .on('POST', both('/execute'), async (c) => {
      if (!isJson(c)) return notJson(c);
      const find = (name: string, version: string) => findRuntime(deps, name, version);
      const { language, run } = await parseExecute(await bodyOf(c), { maxima, find });
      const request = { ...(await languageRun(deps, run)), stdin: run.stdin, events: true };
      return dispatch(c, deps, newInvocationId(), request, async (invocation) => ({
        status: 200,
        body: await executeReply(invocation, { language, feed: deps.queue.events }),
      }));
    })
    .on('GET', both('/connect'), connectHandler(deps));
}
