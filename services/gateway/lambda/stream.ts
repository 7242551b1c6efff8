import { EventStreamCodec } from '@smithy/eventstream-codec';
import type { NumberedEvent } from '../../queue/event-feed.ts';
import { resultText } from '../result-text.ts';
import { failureOf } from './failure.ts';
import { logTailOf } from './log.ts';
import { piecesOf } from './pieces.ts';

interface Told {
  version: string;
  /** With it the last message has the end of the log. */
  memoryBytes: number | undefined;
  /** The client left before the end. */
  onLeft(): void;
}

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes).toString(),
  (text) => Buffer.from(text),
);

/**
 * The reply of InvokeWithResponseStream: messages of `application/vnd.amazon.eventstream`, a PayloadChunk for each piece of the
 * result as it is made, and InvokeComplete at the end. The result of a handler that does not stream is one piece. What the
 * platform lost any of cuts the connection.
 */
export function eventStreamReply(events: AsyncGenerator<NumberedEvent, void, void>, told: Told): Response {
  let isOver = false;
  const pieces = piecesOf(events);
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (!next.done) return controller.enqueue(payloadChunk(next.value));
        isOver = true;
        const invocation = next.value;
        const { outcome, streamedBytes } = invocation;
        if (outcome?.status === 'ok' && streamedBytes === undefined)
          controller.enqueue(payloadChunk(Buffer.from(resultText(outcome))));
        const failure = failureOf(invocation);
        const complete = {
          ...(failure && { ErrorCode: failure.errorType, ErrorDetails: JSON.stringify(failure) }),
          ...(told.memoryBytes !== undefined && {
            LogResult: logTailOf(invocation, told.version, told.memoryBytes),
          }),
        };
        controller.enqueue(
          message('InvokeComplete', 'application/json', Buffer.from(JSON.stringify(complete))),
        );
        controller.close();
      },
      cancel() {
        if (!isOver) told.onLeft();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: {
      'content-type': 'application/vnd.amazon.eventstream',
      'x-amz-executed-version': told.version,
      'cache-control': 'no-store',
    },
  });
}

const payloadChunk = (bytes: Uint8Array) => message('PayloadChunk', 'application/octet-stream', bytes);

function message(event: string, contentType: string, body: Uint8Array): Uint8Array {
  const header = (value: string) => ({ type: 'string', value }) as const;
  const headers = {
    ':message-type': header('event'),
    ':event-type': header(event),
    ':content-type': header(contentType),
  };
  return codec.encode({ headers, body });
}
