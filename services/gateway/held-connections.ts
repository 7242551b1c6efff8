import { PlatformError } from '../shared/platform-error.ts';

/** Connections of each tenant that this gateway holds open: events, logs that are followed, results that are streamed. */
export interface HeldConnections {
  /** Throws `quota_exceeded` when the tenant has as many as it may. What it returns is to be used once, or given up. */
  take(tenant: string): HeldConnection;
}

export interface HeldConnection {
  /** The reply, which gives the place back when its body has ended, failed or was left. */
  of(reply: Response): Response;
  /** There is no such reply after all. */
  giveUp(): void;
}

/** One tenant's followers are not to use up the sockets, timers and subscriptions that all have. */
export function createHeldConnections(max: number): HeldConnections {
  const held = new Map<string, number>();
  return {
    take(tenant) {
      const before = held.get(tenant) ?? 0;
      if (before >= max) {
        throw new PlatformError(
          'quota_exceeded',
          `${before} connections of the tenant are held open here for events, logs and streams, and no more may be`,
          { retryAfterSeconds: 1 },
        );
      }
      held.set(tenant, before + 1);
      let isGivenBack = false;
      const giveUp = () => {
        if (isGivenBack) return;
        isGivenBack = true;
        const left = (held.get(tenant) ?? 1) - 1;
        if (left > 0) held.set(tenant, left);
        else held.delete(tenant);
      };
      return { giveUp, of: (reply) => whenOver(reply, giveUp) };
    },
  };
}

/** Reads no sooner than it is read itself. */
function whenOver({ body, status, headers }: Response, over: () => void): Response {
  if (body === null) {
    over();
    return new Response(null, { status, headers });
  }
  const reader = body.getReader();
  const watched = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          over();
          controller.close();
        } catch (error) {
          over();
          throw error;
        }
      },
      cancel(reason) {
        over();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(watched, { status, headers });
}
