import { fstatSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { CliError } from './cli-error.ts';
import type { Io } from './session.ts';

/** What is piped or redirected to us, to its end; a terminal is nothing, and neither is /dev/null. Throws a CliError where it is no text. */
export async function readStdin(io: Io): Promise<string> {
  const { stdin } = io;
  if (stdin.isTTY) return '';
  if (stdin.fd !== undefined) {
    const stats = fstatSync(stdin.fd);
    if (!stats.isFIFO() && !stats.isFile() && !stats.isSocket()) return '';
  }
  return textOf(await readBytes(io), { ignoreBOM: true });
}

/** Standard input to its end, as text without a byte order mark. Throws a CliError where it is none. */
export async function readText(io: Pick<Io, 'stdin' | 'signal'>): Promise<string> {
  return textOf(await readBytes(io));
}

function textOf(bytes: Buffer, options: { ignoreBOM?: boolean } = {}): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ...options }).decode(bytes);
  } catch {
    throw new CliError('cannot send standard input: it is not UTF-8', 2);
  }
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
