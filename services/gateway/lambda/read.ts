import type { Context } from 'hono';
import { ZodError, type z } from 'zod';
import type { GatewayEnv } from '../deps.ts';
import { readBody } from '../read-body.ts';
import { invalidParameter, LambdaError } from './errors.ts';

/** The body, which may have been read when its signature was checked. Throws as `readBody` does. */
export async function readBytes(c: Context<GatewayEnv>, maxBytes: number): Promise<Buffer> {
  const known = c.get('body');
  const bytes = known ?? (await readBody(c, maxBytes));
  if (bytes.length > maxBytes)
    throw new LambdaError('RequestTooLargeException', 413, `Request must be smaller than ${maxBytes} bytes`);
  return bytes;
}

/** The body of a request that is no invocation. Throws InvalidParameterValueException that names what is wrong. */
export async function readRequest<Schema extends z.ZodType>(
  c: Context<GatewayEnv>,
  schema: Schema,
  maxBytes: number,
): Promise<z.output<Schema>> {
  const text = (await readBytes(c, maxBytes)).toString();
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw new LambdaError(
      'InvalidRequestContentException',
      400,
      `Could not parse request body into json: ${(error as Error).message}`,
    );
  }
  try {
    return schema.parse(value);
  } catch (error) {
    if (!(error instanceof ZodError)) throw error;
    const { path = [], message = 'is invalid' } = error.issues[0] ?? {};
    throw invalidParameter(`${path.map(String).join('.') || 'body'}: ${message}`);
  }
}
