import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { NumberedEvent } from '../../queue/event-feed.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import { bytesOf } from '../stream-reply.ts';

export type Pieces = AsyncGenerator<Buffer, Invocation, void>;

/**
 * What a handler streams, as it comes, and the record at the end. Throws `unavailable` where it ended well and not all of it
 * could be kept, so that nobody takes a part for the whole.
 */
export async function* piecesOf(events: AsyncGenerator<NumberedEvent, void, void>): Pieces {
  let bytes = 0;
  for await (const { event } of events) {
    if (event.type === 'chunk') {
      const piece = bytesOf(event);
      bytes += piece.length;
      yield piece;
    }
    if (event.type !== 'end') continue;
    const { id, outcome, streamedBytes = 0 } = event.invocation;
    if (outcome?.status === 'ok' && streamedBytes !== bytes)
      throw new PlatformError('unavailable', 'the result was streamed, and could not be kept', {
        invocationId: id,
      });
    return event.invocation;
  }
  throw new PlatformError('unavailable', 'the events of the invocation are gone');
}

/** All of them, unless they are more than `maxBytes`: then they are waited for and not kept. */
export async function collect(
  pieces: Pieces,
  maxBytes: number,
): Promise<{ invocation: Invocation; bytes: Buffer | undefined }> {
  const kept: Buffer[] = [];
  let bytes = 0;
  for (let next = await pieces.next(); ; next = await pieces.next()) {
    if (next.done)
      return { invocation: next.value, bytes: bytes > maxBytes ? undefined : Buffer.concat(kept) };
    bytes += next.value.length;
    if (bytes > maxBytes) kept.length = 0;
    else kept.push(next.value);
  }
}
