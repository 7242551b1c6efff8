import type { InvocationEvent } from '../../sdk/contract/events.ts';
import type { Idempotency } from '../queue/idempotency.ts';
import { type InputWriter, signalNumber } from '../queue/input-feed.ts';
import type { InvocationRequest } from '../queue/invocation-queue.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { GatewayDeps } from './deps.ts';

/**
 * An invocation whose caller stays and talks to the program while it runs. Whoever opens one has to see to its end: it
 * reads `events` to their end, or calls `cancel` when its client goes. Otherwise the program runs on until its wall time is over.
 */
export interface Session {
  readonly id: string;
  /** What the program says, as it does, and `end` with the record at last. To be read by one. It reads no faster than it is asked. */
  readonly events: AsyncIterable<InvocationEvent>;
  /**
   * To its stdin. Await it before reading more from the client: it resolves as the program reads. What is written before
   * the program starts waits for it; what is written when it is over, or has closed its stdin, is dropped without an error.
   * Rejects with RangeError after `end`, or where a mebibyte is waiting already, and with PlatformError `unavailable` where Redis
   * does not take it; nothing that is written after that arrives.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** The end of its stdin, after all that was written. */
  end(): Promise<void>;
  /**
   * Sends its main process a signal, as `SIGINT`; it does not wait behind stdin. One that comes before the program runs is
   * sent when it begins. Throws PlatformError `invalid_request` for a name that is none of the 31 standard signals.
   */
  signal(name: string): Promise<void>;
  /** Ends it, in whatever state it is; `events` still tell of the end. */
  cancel(): Promise<void>;
}

export type SessionJob = Omit<InvocationRequest, 'interactive' | 'events' | 'isAwaited'>;

/**
 * Enqueues an interactive invocation. `job.stdin` is what its stdin begins with. Throws as `InvocationQueue.enqueue` does, and PlatformError
 * `unsupported` where its isolation is not `native`.
 */
export async function openSession(
  { queue }: Pick<GatewayDeps, 'queue'>,
  { id, job }: { id: string; job: SessionJob },
): Promise<Session> {
  const { input } = await enqueueInteractive(queue, id, { ...job, events: true, isAwaited: true });

  async function* events() {
    try {
      for await (const { event } of queue.events.follow(id)) yield event;
    } finally {
      await input.close();
    }
  }

  return {
    id,
    events: events(),
    write: (bytes) => input.write(bytes),
    end: () => input.end(),
    async signal(name) {
      const number = signalNumber(name);
      if (number === undefined)
        throw new PlatformError('invalid_request', `there is no signal "${name}"`, { field: 'signal' });
      await input.signal(number);
    },
    async cancel() {
      await input.close();
      await queue.cancel(id, job.tenant);
    },
  };
}

/**
 * As `InvocationQueue.enqueue`, with its input open from before it is there. Throws PlatformError `unsupported` where its isolation is
 * not `native`. `input` is closed where the id is an earlier one's.
 */
export async function enqueueInteractive(
  queue: GatewayDeps['queue'],
  id: string,
  job: InvocationRequest,
  idempotency?: Idempotency,
): Promise<{ acceptedId: string; input: InputWriter }> {
  const { isolation = 'native', tenant } = job;
  if (isolation !== 'native')
    throw new PlatformError('unsupported', `interactive input is not supported by isolation "${isolation}"`, {
      field: 'isolation',
    });
  const input = await queue.inputs.open(id, tenant);
  try {
    const acceptedId = await queue.enqueue(id, { ...job, interactive: true }, idempotency);
    if (acceptedId !== id) await input.close();
    return { acceptedId, input };
  } catch (error) {
    await input.close();
    throw error;
  }
}
