import { createHash } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { decodeUnpackReport, encodeStrings, frameType } from '../zygote/protocol.ts';
import { LayerConnection, UnpackError } from './layer-connection.ts';

/**
 * Puts layers on disk and takes them away. The archive is read in a confined process whose root is the layer's
 * directory (runtime/native/unpack.c); the bytes are hashed here, outside of it.
 */
export interface LayerUnpacker {
  /**
   * Unpacks an uncompressed layer tar and resolves with the directory's name under `layers/`. Rejects, leaving nothing,
   * with an `UnpackError` when the bytes do not hash to `diffId`, the archive is malformed or forbidden, a cap is
   * passed, or the disk is full; with the signal's reason when aborted; and with the error of `tar` when that fails.
   * `tar` is destroyed in all these cases.
   */
  unpack(request: UnpackRequest, tar: Readable): Promise<UnpackedLayer>;
  /** Removes a layer's directory and all in it. Resolves also when there is none. */
  remove(name: string): Promise<void>;
}

export interface UnpackRequest {
  /** Hex. */
  diffId: string;
  /** DiffIDs in hex of the layers below, lowest first: part of the name where the content depends on them. */
  chain: readonly string[];
  /**
   * Directory names of the layers below, uppermost first. They are asked only about parent directories and hard-link
   * targets that the archive takes for granted.
   */
  lowers: readonly string[];
  /** Told of bytes read from `tar`, a few times a second at most. */
  onProgress?: (doneBytes: number) => void;
  signal?: AbortSignal;
}

export interface UnpackedLayer {
  /** The diffID in hex; where the content depends on `lowers`, a digest of the whole chain. */
  name: string;
  /** Bytes that its files take on disk. */
  diskBytes: number;
  entries: number;
  /** Device nodes and the like, left out: paths, at most 100. */
  skipped: readonly string[];
}

/** What one layer may be. */
export interface UnpackLimits {
  /** Sum of its files' sizes, bytes. */
  bytes: number;
  entries: number;
  /** How long a source may give no byte, milliseconds. */
  stallMs: number;
}

const defaultUnpackLimits: UnpackLimits = {
  bytes: 64 * 1024 ** 3,
  entries: 1_000_000,
  stallMs: 60_000,
};

export interface LayerUnpackerOptions {
  /** Path of the launcher's Unix socket. */
  launcherSocket: string;
  /** The directory that the launcher was started with; ours to rename in. */
  layersDir: string;
  limits?: Partial<UnpackLimits>;
}

const progressIntervalMs = 250;

export function openLayerUnpacker(options: LayerUnpackerOptions): LayerUnpacker {
  const limits = { ...defaultUnpackLimits, ...options.limits };

  return {
    async unpack(request, tar) {
      try {
        return await unpack(request, tar);
      } finally {
        tar.on('error', () => {}); // it may fail once more, of its own destruction
        tar.destroy();
      }
    },
    remove,
  };

  async function unpack(request: UnpackRequest, tar: Readable): Promise<UnpackedLayer> {
    request.signal?.throwIfAborted();
    const { diffId, lowers } = request;
    const numbers = [limits.bytes, limits.entries, limits.stallMs].map(String);
    const launcher = await LayerConnection.open(options.launcherSocket);
    try {
      launcher.send(frameType.UNPACK, encodeStrings([lowers.join(':'), ...numbers]));
      const temporary = (await launcher.answer(frameType.READY)).toString();
      const sent = await sendAll(launcher, request, tar).catch((error: Error) => error);
      // It does not wait for the end of an archive that it refuses.
      const refused = launcher.answered.aborted;
      // Half an archive is ended too: the launcher answers when nothing of it is left.
      launcher.end();
      const answer = await launcher.answer(frameType.UNPACKED).catch((error: Error) => error);
      const failure = failureOf(request, sent, refused, answer);
      if (failure !== undefined) {
        if (!(answer instanceof Error)) await remove(temporary);
        throw failure;
      }
      const { depends, ...report } = decodeUnpackReport(answer as Buffer);
      const name = depends ? chainDigest([...request.chain, diffId]) : diffId;
      await publish(temporary, name);
      return { name, ...report };
    } finally {
      launcher.close(); // what still has its temporary name is removed now
    }
  }

  /** Sends the archive and resolves with its digest in hex. Rejects when it cannot be sent whole. */
  async function sendAll(launcher: LayerConnection, request: UnpackRequest, tar: Readable): Promise<string> {
    const hash = createHash('sha256');
    let doneBytes = 0;
    let toldAt = 0;
    const stop = AbortSignal.any([launcher.answered, ...(request.signal ? [request.signal] : [])]);
    const chunks: AsyncIterator<Uint8Array> = tar[Symbol.asyncIterator]();
    // A source need not heed its destruction while it waits for its own.
    for (let next = await unless(stop, chunks.next()); !next.done; next = await unless(stop, chunks.next())) {
      hash.update(next.value);
      doneBytes += next.value.length;
      await launcher.write(next.value, stop);
      if (Date.now() - toldAt < progressIntervalMs) continue;
      toldAt = Date.now();
      request.onProgress?.(doneBytes);
    }
    request.onProgress?.(doneBytes);
    return hash.digest('hex');
  }

  async function publish(temporary: string, name: string): Promise<void> {
    try {
      await rename(join(options.layersDir, temporary), join(options.layersDir, name));
    } catch (error) {
      await remove(temporary);
      const { code } = error as NodeJS.ErrnoException;
      // Somebody was faster with the same content.
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    }
  }

  async function remove(name: string): Promise<void> {
    const launcher = await LayerConnection.open(options.launcherSocket);
    try {
      launcher.send(frameType.REMOVE_LAYER, encodeStrings([name]));
      await launcher.answer(frameType.GONE);
    } finally {
      launcher.close();
    }
  }
}

/** Rejects with the reason of `stop` when that comes first. */
async function unless<T>(stop: AbortSignal, promise: Promise<T>): Promise<T> {
  stop.throwIfAborted();
  let interrupt = () => {};
  const stopped = new Promise<never>((_, reject) => {
    interrupt = () => reject(stop.reason);
  });
  stop.addEventListener('abort', interrupt);
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    stop.removeEventListener('abort', interrupt);
  }
}

/**
 * What the caller is told: the first cause. An archive may be broken because it was not sent whole, and not sent whole
 * because it was refused. Whatever the answer is, only all the right bytes make a layer.
 */
function failureOf(request: UnpackRequest, sent: string | Error, refused: boolean, answer: Buffer | Error) {
  const { diffId, signal } = request;
  if (signal?.aborted) return signal.reason;
  if (refused && answer instanceof Error) return answer;
  if (sent instanceof Error) return sent;
  if (sent !== diffId)
    return new UnpackError('invalid', `cannot unpack layer ${diffId}: what came has the digest ${sent}`);
  return answer instanceof Error ? answer : undefined;
}

/** The name of a layer whose content depends on those below: of the diffIDs in hex, lowest first, itself included. */
export function chainDigest(diffIds: readonly string[]): string {
  return createHash('sha256')
    .update(`oncebox-chain ${diffIds.join(' ')}`)
    .digest('hex');
}
