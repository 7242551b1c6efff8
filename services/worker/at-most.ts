import { PlatformError } from '../shared/platform-error.ts';

/** `work`, of which `limit` calls run at once; one more throws `queue_full`, and says that it cannot `what`. */
export function atMost<Args extends unknown[], Result>(
  limit: number,
  what: string,
  work: (...args: Args) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  let running = 0;
  return async (...args) => {
    if (running >= limit) {
      throw new PlatformError(
        'queue_full',
        `cannot ${what}: ${limit} are under way on this node; try later`,
        {
          retryAfterSeconds: 10,
        },
      );
    }
    running += 1;
    try {
      return await work(...args);
    } finally {
      running -= 1;
    }
  };
}
