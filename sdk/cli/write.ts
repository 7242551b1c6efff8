import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Writes, and waits while the reader is slower than we are: what is not read yet does not pile up in memory. */
export async function write(stream: Writable, data: string | Uint8Array): Promise<void> {
  if (data.length > 0 && !stream.write(data)) await once(stream, 'drain');
}
