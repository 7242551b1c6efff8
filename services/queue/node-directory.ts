import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  type NodeInfo,
  nodeInfoSchema,
  type SandboxList,
  type SandboxRecord,
  sandboxRecordSchema,
} from '../../sdk/contract/node.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * Which workers there are, and what their sandboxes are now. A worker keeps its key alive while it lives; a
 * gateway that wants the sandboxes asks on one channel and gathers what each worker answers on the gateway's own.
 */

export const nodesKey = 'oncebox:nodes';
export const nodeKey = (node: string) => `oncebox:node:${node}`;
/** Which worker the one is that follows others on the same data directory. */
const nodeOfKey = (identity: string) => `oncebox:node-of:${identity}`;
const nodeOfTtlMs = 7 * 86_400_000;
/** A worker that has not beaten for so long is gone. One that a busy machine keeps from it for seconds is not. */
export const nodeTtlMs = 15_000;
export const heartbeatMs = 1_500;
const askChannel = 'oncebox:sandboxes:ask';
const gatherMs = 500;

const askSchema = z.object({ askId: z.string(), replyTo: z.string() });
const answerSchema = z.object({
  askId: z.string(),
  node: z.string(),
  sandboxes: z.array(sandboxRecordSchema),
});
type Answer = z.infer<typeof answerSchema>;

export interface JoinOptions {
  redis: Redis;
  /** A connection of this process that is used for subscriptions only. */
  subscriber: Redis;
  node: NodeInfo;
  /** The same for all workers that follow each other: the one before is gone, whatever its last beat says. */
  identity: string;
  listSandboxes: () => SandboxRecord[] | Promise<SandboxRecord[]>;
  onError: (error: unknown) => void;
}

/** The worker's side. Resolves when the node can be found; `leave` takes it out at once. */
export async function joinNodeDirectory(options: JoinOptions): Promise<{ leave(): Promise<void> }> {
  const { redis, subscriber, node, identity, listSandboxes, onError } = options;

  async function beat() {
    await redis
      .multi()
      .sadd(nodesKey, node.node)
      .set(nodeKey(node.node), JSON.stringify(node), 'PX', nodeTtlMs)
      .exec();
  }

  async function answer(channel: string, message: string) {
    if (channel !== askChannel) return;
    try {
      const { askId, replyTo } = askSchema.parse(JSON.parse(message));
      const reply: Answer = { askId, node: node.node, sandboxes: await listSandboxes() };
      await redis.publish(replyTo, JSON.stringify(reply));
    } catch (error) {
      onError(error);
    }
  }

  subscriber.on('message', answer);
  await subscriber.subscribe(askChannel);
  const previous = await redis.set(nodeOfKey(identity), node.node, 'PX', nodeOfTtlMs, 'GET');
  if (previous && previous !== node.node)
    await redis.multi().srem(nodesKey, previous).del(nodeKey(previous)).exec();
  await beat();
  const heartbeat = setInterval(() => beat().catch(onError), heartbeatMs);

  return {
    async leave() {
      clearInterval(heartbeat);
      subscriber.off('message', answer);
      await subscriber.unsubscribe(askChannel);
      await redis.multi().srem(nodesKey, node.node).del(nodeKey(node.node)).exec();
    },
  };
}

/** The gateway's side. */
export interface NodeDirectory {
  nodes(): Promise<NodeInfo[]>;
  /** Asks every node; one that does not answer within half a second is listed as silent. */
  sandboxes(): Promise<SandboxList>;
  close(): Promise<void>;
}

/** Nodes that live, for one of them. */
export async function countNodes(redis: Redis): Promise<number> {
  const names = await redis.smembers(nodesKey);
  return names.length === 0 ? 0 : redis.exists(...names.map(nodeKey));
}

export async function openNodeDirectory(options: {
  redis: Redis;
  subscriber: Redis;
  onError: (error: unknown) => void;
}): Promise<NodeDirectory> {
  const { redis, subscriber, onError } = options;
  const replyTo = `oncebox:sandboxes:reply:${randomUUID()}`;
  const gatherings = new Map<string, (answer: Answer) => void>();

  function receive(channel: string, message: string) {
    if (channel !== replyTo) return;
    try {
      const answer = answerSchema.parse(JSON.parse(message));
      gatherings.get(answer.askId)?.(answer);
    } catch (error) {
      onError(error);
    }
  }
  subscriber.on('message', receive);
  await subscriber.subscribe(replyTo);

  async function nodes(): Promise<NodeInfo[]> {
    const names = (await redis.smembers(nodesKey)).sort();
    if (names.length === 0) return [];
    const texts = await redis.mget(names.map(nodeKey));
    const gone = names.filter((_, index) => texts[index] === null);
    // A node that beats between the two commands adds itself again with its next beat.
    if (gone.length > 0) await redis.srem(nodesKey, ...gone);
    return texts.filter((text) => text != null).map((text) => nodeInfoSchema.parse(JSON.parse(text)));
  }

  async function sandboxes(): Promise<SandboxList> {
    const silent = new Set((await nodes()).map((info) => info.node));
    const found: SandboxRecord[] = [];
    if (silent.size === 0) return { sandboxes: [], silentNodes: [] };
    const askId = randomUUID();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, gatherMs);
      gatherings.set(askId, (answer) => {
        found.push(...answer.sandboxes);
        silent.delete(answer.node);
        if (silent.size > 0) return;
        clearTimeout(timer);
        resolve();
      });
      redis.publish(askChannel, JSON.stringify({ askId, replyTo })).catch((error) => {
        clearTimeout(timer);
        reject(error);
      });
    }).finally(() => gatherings.delete(askId));
    return { sandboxes: found, silentNodes: [...silent].sort() };
  }

  return {
    nodes,
    sandboxes,
    async close() {
      subscriber.off('message', receive);
      await subscriber.unsubscribe(replyTo);
    },
  };
}
