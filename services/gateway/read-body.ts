import type { Context } from 'hono';
import { PlatformError } from '../shared/platform-error.ts';

const depthMax = 100;

/** What all bodies that are being read may have together, bytes: at least this, and always a few of the largest. */
const allBodiesMinBytes = 256 * 1024 * 1024;
const largestAtOnce = 4;
/** Of the bodies that are being read; one that announced its length counts whole from its start. */
let underWayBytes = 0;

/**
 * The body's bytes. Throws `body_too_large` as soon as that is known, and `unavailable` when too much is being read for
 * others; the rest is not read. Throws `request_timeout` when the connection ended first, and then nobody hears of it.
 */
export async function readBody(c: Context, maxBytes: number): Promise<Buffer> {
  const room = takeRoom(maxBytes);
  try {
    return await read(c, maxBytes, room.add);
  } catch (error) {
    if (error instanceof PlatformError) throw error;
    throw new PlatformError('request_timeout', 'the body did not come whole', { cause: error });
  } finally {
    room.giveBack();
  }
}

/** One body's part of what all may have: connections that stand still would fill the memory else. */
function takeRoom(maxBytes: number): { add: (bytes: number) => void; giveBack: () => void } {
  const roomBytes = Math.max(allBodiesMinBytes, largestAtOnce * maxBytes);
  let takenBytes = 0;
  return {
    add(bytes) {
      if (underWayBytes + bytes > roomBytes) {
        throw new PlatformError('unavailable', 'too many large bodies are being read: try again', {
          retryAfterSeconds: 1,
        });
      }
      underWayBytes += bytes;
      takenBytes += bytes;
    },
    giveBack() {
      underWayBytes -= takenBytes;
      takenBytes = 0;
    },
  };
}

async function read(c: Context, maxBytes: number, take: (bytes: number) => void): Promise<Buffer> {
  const announced = c.req.header('content-length');
  if (announced !== undefined) {
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
    take(Number(announced));
    // The HTTP parser ends the body there; reading it whole is much quicker than as a stream.
    return Buffer.from(await c.req.arrayBuffer());
  }
  const body = c.req.raw.body;
  if (body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooLarge(maxBytes);
    take(chunk.byteLength);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/**
 * The body as JSON text and value; an empty body is undefined. Throws `invalid_request` with field `body`. The text may
 * be handed on as it is; what is made of the value goes through UTF-8, which has no place for half a surrogate pair:
 * `wellFormed` refuses that. So is a field called `__proto__`, by its path: JavaScript's objects have none of that name, and
 * it would be dropped in silence. In `data` it may be: the fields that are handed on as they came, or `all` of it.
 */
export async function readJson(
  c: Context,
  maxBytes: number,
  { data = [] }: { data?: readonly string[] | 'all' } = {},
): Promise<{ text: string; value: unknown }> {
  const bytes = await readBody(c, maxBytes);
  const text = decodeUtf8(bytes);
  if (text.trim() === '') return { text: '', value: undefined };
  refuseDeepJson(text);
  const value = parse(text);
  // Few have it, and few have what could spell it.
  if (data !== 'all' && /__proto__|\\u00/.test(text)) refuseProto(value, data);
  return { text, value };
}

/** Not deep: `refuseDeepJson` has been here. */
function refuseProto(value: unknown, data: readonly string[], path: readonly string[] = []): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    const field = [...path, name];
    if (name === '__proto__') {
      throw new PlatformError('invalid_request', `${field.join('.')}: no field may have this name`, {
        field: field.join('.'),
      });
    }
    if (path.length > 0 || !data.includes(name)) refuseProto(inner, data, field);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidBody(`the body is not JSON: ${(error as Error).message}`);
  }
}

/**
 * Refuses what JSON can escape and UTF-8 cannot hold, half a surrogate pair: two different paths would become one file's
 * name. Well-formed JSON.stringify (ECMA-262) escapes nothing else above the control characters.
 */
export function wellFormed(value: unknown, text: string): unknown {
  const isSuspect = /\\u[dD][89a-fA-F]/.test(text);
  if (isSuspect && /(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(JSON.stringify(value)))
    throw invalidBody('the body has half of a surrogate pair in a string');
  return value;
}

/**
 * Refuses deep nesting before anything walks the value: a few kilobytes of "[" overflow the stack of a recursive
 * reader, here or in the function. Counts brackets outside of strings; malformed text is the parser's business.
 */
function refuseDeepJson(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === backslash) i++;
      else if (code === quote) inString = false;
    } else if (code === quote) inString = true;
    else if (code === openBracket || code === openBrace) {
      if (++depth > depthMax) throw invalidBody(`the body nests deeper than ${depthMax} levels`);
    } else if (code === closeBracket || code === closeBrace) depth--;
  }
}

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [34, 92, 91, 93, 123, 125];

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalidBody('the body is not UTF-8');
  }
}

function invalidBody(message: string): PlatformError {
  return new PlatformError('invalid_request', message, { field: 'body' });
}

function tooLarge(maxBytes: number): PlatformError {
  return new PlatformError('body_too_large', `the body is larger than ${maxBytes} bytes`, { field: 'body' });
}
