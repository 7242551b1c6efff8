import { Agent, fetch, type RequestInit as UndiciRequestInit } from 'undici';

const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

/**
 * Node's own `fetch` is undici's, without a way to set its timeouts: five minutes without a byte. A step of a build and
 * a program may well be silent for longer, and Ctrl-C is there.
 */
export async function patientFetch(url: string, init: RequestInit): Promise<Response> {
  // The same classes; the declarations differ in details of streams.
  const response = await fetch(url, { ...(init as unknown as UndiciRequestInit), dispatcher });
  return response as unknown as Response;
}
