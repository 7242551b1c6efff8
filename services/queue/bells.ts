import type { Redis } from '../shared/redis.ts';

/** Rings when something is published on a channel. What is published meanwhile rings once, whatever it was. */
export interface Bell {
  /** Resolves when it rings, or has since the last call, or after `withinMs`: what is published to nobody is lost. */
  rung(withinMs: number): Promise<void>;
  ring(): void;
  close(): void;
}

export interface Bells {
  /** Resolves when what is published from now on is heard. */
  hang(channel: string): Promise<Bell>;
  close(): void;
}

/** Many channels on one connection for subscriptions. */
export function createBells(subscriber: Redis, onError: (error: unknown) => void): Bells {
  const hung = new Map<string, Set<() => void>>();

  function receive(channel: string) {
    for (const ring of hung.get(channel) ?? []) ring();
  }
  subscriber.on('message', receive);

  return {
    async hang(channel) {
      let hasRung = false;
      let wake = () => {};
      const ring = () => {
        hasRung = true;
        wake();
      };
      const others = hung.get(channel) ?? new Set();
      hung.set(channel, others.add(ring));
      await subscriber.subscribe(channel);
      return {
        ring,
        async rung(withinMs) {
          if (!hasRung) {
            await new Promise<void>((resolve) => {
              const timer = setTimeout(resolve, withinMs);
              wake = () => {
                clearTimeout(timer);
                resolve();
              };
            });
          }
          hasRung = false;
        },
        close() {
          ring();
          others.delete(ring);
          if (others.size > 0 || hung.get(channel) !== others) return;
          hung.delete(channel);
          subscriber.unsubscribe(channel).catch(onError);
        },
      };
    },
    close() {
      subscriber.off('message', receive);
      const channels = [...hung.keys()];
      for (const rings of hung.values()) for (const ring of rings) ring();
      hung.clear();
      if (channels.length > 0) subscriber.unsubscribe(...channels).catch(onError);
    },
  };
}
