import type { Limits } from '../../sdk/contract/limits.ts';
import type { EndCause, RunReport, SandboxStat } from '../sandbox/sandbox.ts';

/**
 * Frames between the worker and the native part: u32 length of the rest, u8 type, u32 sandbox, payload, all
 * little-endian. `runtime/native/oncebox.h` says the same in C; a test compares the two.
 */
export const frameType = {
  ZONE: 1,
  CREATE: 2,
  RUN: 3,
  KILL: 4,
  STAT: 5,
  READY: 6,
  STDOUT: 7,
  STDERR: 8,
  DONE: 9,
  GONE: 10,
  FAILED: 11,
  UNPACK: 12,
  REMOVE_LAYER: 13,
  UNPACKED: 14,
  BUILD: 16,
  BUILT: 17,
} as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

/** `enum unpack_fault`. */
export const unpackFault = { INVALID: 1, FULL: 2, LOST: 3 } as const;

/** By their number in `enum end_cause`. */
export const endCauses = ['exited', 'wall', 'cpu', 'killed', 'output'] as const satisfies readonly EndCause[];

/** Two live sandboxes of a zone may not have the same id modulo this: it is their slot, and decides their user id. */
export const maxSandboxes = 8192;
/** A frame longer than this ends the connection; it bounds program, event and stdin together, bytes. */
export const maxFrameBytes = 96 * 1024 * 1024;

export interface Frame {
  type: number;
  sandbox: number;
  payload: Buffer;
}

const headerBytes = 9;

export function encodeFrame(type: FrameType, sandbox: number, ...payload: Uint8Array[]): Buffer {
  const header = Buffer.allocUnsafe(headerBytes);
  const length = payload.reduce((sum, part) => sum + part.length, 0);
  header.writeUInt32LE(length + 5, 0);
  header.writeUInt8(type, 4);
  header.writeUInt32LE(sandbox, 5);
  return Buffer.concat([header, ...payload]);
}

/** Cuts a byte stream into frames. Frames' payloads are copies: the stream's chunks are not kept alive by them. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #length = 0;

  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= headerBytes) {
      const head = this.#peek(headerBytes);
      const total = head.readUInt32LE(0) + 4;
      if (total < headerBytes || total > maxFrameBytes) throw new Error(`malformed frame of ${total} bytes`);
      if (this.#length < total) return;
      const frame = this.#take(total);
      yield {
        type: frame.readUInt8(4),
        sandbox: frame.readUInt32LE(5),
        payload: Buffer.from(frame.subarray(headerBytes)),
      };
    }
  }

  #peek(length: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    return first.length >= length ? first : this.#join();
  }

  #take(length: number): Buffer {
    const joined = (this.#chunks[0] as Buffer).length >= length ? (this.#chunks[0] as Buffer) : this.#join();
    const rest = joined.subarray(length);
    if (rest.length > 0) this.#chunks[0] = rest;
    else this.#chunks.shift();
    this.#length -= length;
    return joined.subarray(0, length);
  }

  #join(): Buffer {
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

/** `struct run_limits`. */
export function encodeLimits(limits: Limits): Buffer {
  const bytes = Buffer.allocUnsafe(56);
  bytes.writeBigUInt64LE(BigInt(limits.memoryBytes), 0);
  bytes.writeBigUInt64LE(BigInt(limits.diskBytes), 8);
  bytes.writeBigUInt64LE(BigInt(limits.diskInodes), 16);
  bytes.writeBigUInt64LE(BigInt(limits.stdoutBytes), 24);
  bytes.writeBigUInt64LE(BigInt(limits.stderrBytes), 32);
  bytes.writeUInt32LE(limits.pids, 40);
  bytes.writeUInt32LE(Math.round(limits.cpus * 1000), 44);
  bytes.writeUInt32LE(limits.wallMs, 48);
  bytes.writeUInt32LE(limits.cpuMs, 52);
  return bytes;
}

const reportBytes = 52;

/** `struct run_report`, then the result. */
export function decodeReport(payload: Buffer): Omit<RunReport, 'stdout' | 'stderr'> {
  const cause = endCauses[payload.readUInt32LE(0)];
  if (cause === undefined) throw new Error(`unknown end cause ${payload.readUInt32LE(0)}`);
  const exitCode = payload.readInt32LE(4);
  const signal = payload.readInt32LE(8);
  return {
    cause,
    exitCode: exitCode === -1 ? null : exitCode,
    signal: signal === 0 ? null : signal,
    oomKills: payload.readUInt32LE(12),
    pidsRefused: payload.readUInt32LE(16),
    diskFull: payload.readUInt8(20) === 1,
    inodesFull: payload.readUInt8(21) === 1,
    stdoutTruncated: payload.readUInt8(22) === 1,
    stderrTruncated: payload.readUInt8(23) === 1,
    cpuUsec: Number(payload.readBigUInt64LE(24)),
    memoryPeakBytes: Number(payload.readBigUInt64LE(32)),
    startUsec: payload.readUInt32LE(40),
    runUsec: payload.readUInt32LE(44),
    discardUsec: payload.readUInt32LE(48),
    result: payload.subarray(reportBytes),
  };
}

/** `struct stat_report`. */
export function decodeStat(payload: Buffer): SandboxStat {
  return {
    memoryBytes: Number(payload.readBigUInt64LE(0)),
    memoryPeakBytes: Number(payload.readBigUInt64LE(8)),
    writableBytes: Number(payload.readBigUInt64LE(16)),
  };
}

const unpackReportBytes = 24;

/** `struct unpack_report`, then paths left out. They come from an archive and may be any bytes. */
export function decodeUnpackReport(payload: Buffer) {
  return {
    diskBytes: Number(payload.readBigUInt64LE(0)),
    entries: Number(payload.readBigUInt64LE(8)),
    depends: payload.readUInt32LE(16) === 1,
    skipped: payload.subarray(unpackReportBytes).toString().split('\0').slice(0, -1),
  };
}

/** NUL-terminated strings, as FRAME_ZONE carries them. */
export function encodeStrings(strings: readonly string[]): Buffer {
  return Buffer.from(strings.map((text) => `${text}\0`).join(''));
}
