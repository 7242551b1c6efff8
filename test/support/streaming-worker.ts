import type { ResultChunk } from '../../sdk/contract/events.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { appendEvents } from '../../services/queue/event-stream.ts';
import { publishStreaming } from '../../services/queue/result-channel.ts';
import { finished, type Processor } from './gateway.ts';
import type { TestRedis } from './redis.ts';

/** What stands for a handler that streams these pieces, and ends well unless `fields` say otherwise. */
export function streams(
  { redis }: TestRedis,
  pieces: readonly (string | Buffer)[],
  fields: Partial<Invocation> = {},
): Processor {
  return async (job) => {
    const id = job.id ?? '';
    const events = pieces.map((piece) => ({ type: 'chunk' as const, ...chunkOf(piece) }));
    await appendEvents(redis, { id, tenant: job.data.tenant, events, keepMs: 60_000 });
    await publishStreaming(redis, job.data.replyTo, id);
    const streamedBytes = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    return finished(job, { streamedBytes, ...fields });
  };
}

const chunkOf = (piece: string | Buffer): ResultChunk =>
  typeof piece === 'string' ? { text: piece } : { base64: piece.toString('base64') };
