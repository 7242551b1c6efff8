import type { Context } from 'hono';
import { PlatformError } from '../shared/platform-error.ts';

const depthMax = 100;

/** The body's bytes. Throws `body_too_large` as soon as that is known; the rest is not read. */
export async function readBody(c: Context, maxBytes: number): Promise<Buffer> {
  const announced = c.req.header('content-length');
  if (announced !== undefined) {
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
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
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** The body as JSON text and value; an empty body is undefined. Throws `invalid_request` with field `body`. */
export async function readJson(c: Context, maxBytes: number): Promise<{ text: string; value: unknown }> {
  const bytes = await readBody(c, maxBytes);
  const text = decodeUtf8(bytes);
  if (text.trim() === '') return { text: '', value: undefined };
  refuseDeepJson(text);
  try {
    return { text, value: JSON.parse(text) };
  } catch (error) {
    throw invalidBody(`the body is not JSON: ${(error as Error).message}`);
  }
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
