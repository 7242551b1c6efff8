import { isIP, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';
import type { AddressRule } from './address-rules.ts';
import { createLookUp } from './look-up.ts';

/** From the look-up of the name to the end of the answer, unless told. */
const usualTotalMs = 10_000;
/** What is read of an answer, which means nothing to us but by its status. */
const answerMaxBytes = 64 * 1024;

/** The receiver is somewhere that we do not connect to. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
}

interface Post {
  url: string;
  headers: Record<string, string>;
  body: string;
  signal?: AbortSignal;
}

export interface Poster {
  /**
   * Resolves with the status of the answer. Rejects with AddressRefusedError, or with the error of the network. No redirect
   * is followed: it is an answer like any other.
   */
  post(post: Post): Promise<number>;
  close(): Promise<void>;
}

/**
 * Sends to where tenants say. A name is looked up here, each of its addresses is checked, and those that may be connected to
 * are what the socket gets: nobody looks the name up again, and finds another address. `totalMs` is for tests that hold answers back.
 */
export function createPoster(
  isAllowed: AddressRule,
  lookup: LookupFunction = createLookUp(),
  totalMs = usualTotalMs,
): Poster {
  const agent = new Agent({
    connect: { lookup: checkedLookup(isAllowed, lookup), timeout: totalMs },
    headersTimeout: totalMs,
    bodyTimeout: totalMs,
  });
  return {
    async post({ url, headers, body, signal }) {
      // Sockets look no address up.
      const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
      if (isIP(host) !== 0 && !isAllowed(host)) throw refused(host);
      const limit = AbortSignal.timeout(totalMs);
      const answer = await request(url, {
        dispatcher: agent,
        method: 'POST',
        headers,
        body,
        // The next delivery looks the name up anew.
        reset: true,
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      await readSome(answer.body);
      return answer.statusCode;
    },
    close: () => agent.destroy(),
  };
}

function checkedLookup(isAllowed: AddressRule, lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const addresses = Array.isArray(found) ? found : [];
      const allowed = addresses.filter(({ address }) => isAllowed(address));
      const [first] = allowed;
      if (!first) return callback(refused(hostname), []);
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

/** Lets the sender finish what is short, and hangs up on what is long. */
async function readSome(body: AsyncIterable<Uint8Array>): Promise<void> {
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (bytes > answerMaxBytes) return;
    }
  } catch {
    // The status has come, and says what the receiver made of it.
  }
}

function refused(host: string): AddressRefusedError {
  return new AddressRefusedError(
    `${host} has no address on the Internet: see ONCEBOX_CALLBACK_ALLOW for networks of your own`,
  );
}
