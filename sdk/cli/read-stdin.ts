import { fstatSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Io } from './session.ts';

/** What is piped or redirected to us; a terminal or /dev/null is nothing. */
export async function readStdin(stdin: Io['stdin']): Promise<string> {
  if (stdin.isTTY) return '';
  if (stdin.fd !== undefined) {
    const stats = fstatSync(stdin.fd);
    if (!stats.isFIFO() && !stats.isFile() && !stats.isSocket()) return '';
  }
  return text(stdin);
}
