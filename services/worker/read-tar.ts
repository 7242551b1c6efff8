import { once } from 'node:events';
import { Parser, type ReadEntry } from 'tar';

/** The parser works in one go; between such pieces others have their turn. */
const pieceBytes = 1024 * 1024;
const blockBytes = 512;

export interface TarListener {
  /** The records of a pax header, before the entry that it belongs to. */
  meta?: (text: string) => void;
  /** Has to read its content, or to let it pass with `resume()`. What it throws ends the reading. */
  entry: (entry: ReadEntry) => void;
}

/**
 * Reads a tar in memory that a program has a say in: its entries are told as they are, and nothing in them is to be
 * believed. Rejects when it is malformed or compressed, and with what a listener throws.
 */
export async function readTar(tar: Uint8Array, listener: TarListener): Promise<void> {
  // A compressed tar would be inflated, unbounded; and the parser wants to see one entry at least.
  if (tar[0] === 0x1f && tar[1] === 0x8b) throw new Error('it is compressed');
  if (tar.subarray(0, blockBytes).every((byte) => byte === 0)) return;
  const parser = new Parser({ strict: true, brotli: false, zstd: false });
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
  };
  if (listener.meta) parser.on('meta', listener.meta);
  parser.on('entry', (entry: ReadEntry) => {
    try {
      listener.entry(entry);
    } catch (error) {
      fail(error);
      entry.resume();
    }
  });
  parser.on('error', fail);
  const ended = once(parser, 'end');
  ended.catch(() => {}); // it rejects with the error that we throw ourselves
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
  for (let at = 0; at < bytes.length && failure === undefined; at += pieceBytes) {
    parser.write(bytes.subarray(at, at + pieceBytes));
    await new Promise(setImmediate);
  }
  if (failure !== undefined) throw failure;
  parser.end();
  await ended;
}
