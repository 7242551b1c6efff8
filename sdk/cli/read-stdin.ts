import { fstatSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import type { Io } from './session.ts';

/** What is piped or redirected to us; /dev/null is nothing, and so is a terminal unless `isInteractive`. */
export async function readStdin(io: Io, isInteractive: boolean): Promise<string> {
  const { stdin } = io;
  if (stdin.isTTY) return isInteractive ? readText(io) : '';
  if (stdin.fd !== undefined) {
    const stats = fstatSync(stdin.fd);
    if (!stats.isFIFO() && !stats.isFile() && !stats.isSocket()) return '';
  }
  return readText(io);
}

/** Standard input to its end, as text. */
export async function readText(io: Pick<Io, 'stdin' | 'signal'>): Promise<string> {
  return new TextDecoder().decode(await readBytes(io));
}

/** Standard input to its end. Rejects when interrupted: whoever writes to us may never end. */
export async function readBytes({ stdin, signal }: Pick<Io, 'stdin' | 'signal'>): Promise<Buffer> {
  const whole = buffer(stdin);
  whole.catch(() => {});
  const interrupted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  interrupted.catch(() => {});
  return Promise.race([whole, interrupted]);
}
