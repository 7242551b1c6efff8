import type { RateLimit } from '../shared/platform-error.ts';

/**
 * What a reply says of a limit: `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10, and the
 * three headers of its earlier versions, which more clients know.
 */
export function rateLimitHeaders(rateLimit: RateLimit): Record<string, string> {
  const { name, limit, remaining, resetSeconds, windowSeconds } = rateLimit;
  const window = windowSeconds === undefined ? '' : `;w=${windowSeconds}`;
  return {
    'ratelimit-policy': `"${name}";q=${limit}${window}`,
    ratelimit: `"${name}";r=${remaining};t=${resetSeconds}`,
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(resetSeconds),
  };
}
