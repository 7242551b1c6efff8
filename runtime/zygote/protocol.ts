import type { Limits } from '../../sdk/contract/limits.ts';
import type {
  EndCause,
  Residue,
  RunReport,
  RunRequest,
  SandboxSpec,
  SandboxStat,
} from '../sandbox/sandbox.ts';

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
  CHANGES: 15,
  BUILD: 16,
  BUILT: 17,
  OCI: 18,
  RESULT: 19,
  TAKEN: 20,
  STDIN: 21,
  STDIN_END: 22,
  SIGNAL: 23,
  INPUT_TAKEN: 24,
} as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

/** `enum unpack_fault`. */
export const unpackFault = { INVALID: 1, FULL: 2, LOST: 3 } as const;

/** `enum oci_runtime`. */
export const ociRuntime = { runc: 1, gvisor: 2 } as const;

/** By their number in `enum end_cause`. */
export const endCauses = [
  'exited',
  'wall',
  'cpu',
  'killed',
  'output',
  'disk',
] as const satisfies readonly EndCause[];

/** Two live sandboxes of a zone may not have the same id modulo this: it is their slot, and decides their user id. */
export const maxSandboxes = 8192;
/** A frame longer than this ends the connection; it bounds program, event and stdin together, bytes. */
export const maxFrameBytes = 96 * 1024 * 1024;
/** A frame from the agent is a report and a result at most; it sends all else in pieces. Bytes. */
export const maxReplyBytes = 8 * 1024 * 1024;
/** What an interpreter may say on its result channel, bytes. */
export const maxResultBytes = 6 * 1024 * 1024;
/** What it may say of a result that it streams, all records together, bytes. */
export const maxStreamBytes = 64 * 1024 * 1024;
/** The agent forwards a program's output in pieces of at most so many bytes. */
export const chunkBytes = 65_536;
/** What the tar of a sandbox's changes may be longer than its disk cap, bytes, and may take, milliseconds. */
export const changesOverheadBytes = 64 * 1024 * 1024;
export const changesWithinMs = 30_000;

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
  readonly #maxBytes: number;

  constructor(maxBytes = maxFrameBytes) {
    this.#maxBytes = maxBytes;
  }

  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= headerBytes) {
      const head = this.#peek(headerBytes);
      const total = head.readUInt32LE(0) + 4;
      if (total < headerBytes || total > this.#maxBytes) throw new Error(`malformed frame of ${total} bytes`);
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

/** By their bit in `enum spec_flags` and `enum run_flags`. */
export const specFlag = { SCRATCH: 1, OWN_USER: 2, SECRETS: 4 } as const;
export const runFlag = { CHANGES: 1, SECRETS: 2, INPUT: 4, WORK: 8 } as const;

/** `struct spec_head`, the groups, then working directory and layers. */
export function encodeSpec(spec: SandboxSpec): Buffer {
  const { uid, gid, groups } = spec.user ?? { uid: 0, gid: 0, groups: [] };
  const flags =
    (spec.scratch ? specFlag.SCRATCH : 0) |
    (spec.user ? 0 : specFlag.OWN_USER) |
    (spec.secrets ? specFlag.SECRETS : 0);
  const numbers = [flags, uid, gid, groups.length, ...groups];
  const head = Buffer.allocUnsafe(numbers.length * 4);
  numbers.forEach((number, index) => {
    head.writeUInt32LE(number, index * 4);
  });
  return Buffer.concat([head, encodeStrings([spec.workingDir, spec.layers.join(':')])]);
}

/** Payload of FRAME_OCI: `enum oci_runtime`, `struct run_limits`, the spec, config.json. */
export function encodeOci(
  runtime: keyof typeof ociRuntime,
  limits: Limits,
  spec: SandboxSpec,
  config: string,
): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(ociRuntime[runtime]);
  return Buffer.concat([number, encodeLimits(limits), encodeSpec(spec), encodeStrings([config])]);
}

/** What a run is told beside its job: `struct run_limits`, flags, stdin, secrets. */
export function encodeRunHead({
  limits,
  stdin,
  captureChanges = false,
  captureWork,
  secrets = [],
  input,
}: Omit<RunRequest, 'program'>): Buffer {
  const numbers = Buffer.allocUnsafe(8);
  const hasSecrets = secrets.length > 0;
  const captures =
    captureWork !== undefined ? runFlag.CHANGES | runFlag.WORK : captureChanges ? runFlag.CHANGES : 0;
  const flags = captures | (hasSecrets ? runFlag.SECRETS : 0) | (input ? runFlag.INPUT : 0);
  numbers.writeUInt32LE(flags, 0);
  numbers.writeUInt32LE(stdin.length, 4);
  const parts = secrets.flatMap(({ name, value }) => [
    ...withLength(Buffer.from(name)),
    ...withLength(value),
  ]);
  return Buffer.concat([
    encodeLimits(limits),
    numbers,
    stdin,
    ...(hasSecrets ? [lengthOf(parts), ...parts] : []),
  ]);
}

function withLength(bytes: Uint8Array): Uint8Array[] {
  return [lengthOf([bytes]), bytes];
}

function lengthOf(parts: readonly Uint8Array[]): Buffer {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(parts.reduce((sum, part) => sum + part.length, 0));
  return length;
}

/** What FRAME_TAKEN says, bytes, and FRAME_SIGNAL, a signal's number. */
export function encodeNumber(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(number);
  return bytes;
}

/** `struct input_taken`. */
export function decodeInputTaken(payload: Buffer): { bytes: number; signals: number } {
  return { bytes: payload.readUInt32LE(0), signals: payload.readUInt32LE(4) };
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

export const reportBytes = 118;

/** By their bit in `enum report_known` and `enum residue`. */
export const reportKnown = { PIDS_PEAK: 1, PRESSURE: 2 } as const;
export const residueFlag = { CGROUP: 1 } as const;

/** `struct run_report`, then the result. */
export function decodeReport(payload: Buffer): Omit<RunReport, 'stdout' | 'stderr' | 'changes'> {
  const cause = endCauses[payload.readUInt32LE(0)];
  if (cause === undefined) throw new Error(`unknown end cause ${payload.readUInt32LE(0)}`);
  const exitCode = payload.readInt32LE(4);
  const signal = payload.readInt32LE(8);
  const number = (at: number) => Number(payload.readBigUInt64LE(at));
  const known = payload.readUInt8(117);
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
    cpuUsec: number(24),
    memoryPeakBytes: number(32),
    startUsec: payload.readUInt32LE(40),
    runUsec: payload.readUInt32LE(44),
    cpuUserUsec: number(49),
    cpuSystemUsec: number(57),
    throttledUsec: number(65),
    writtenBytes: number(73),
    writtenInodes: number(81),
    ...(known & reportKnown.PRESSURE && {
      pressure: { cpuUsec: number(89), memoryUsec: number(97), ioUsec: number(105) },
    }),
    ...(known & reportKnown.PIDS_PEAK && { pidsPeak: payload.readUInt32LE(113) }),
    result: payload.subarray(reportBytes),
  };
}

/** Whether the report says that the frames of changes before it are all of them. */
export function hasAllChanges(payload: Buffer): boolean {
  return payload.readUInt8(48) === 1;
}

/** What FRAME_GONE says. */
export function decodeResidue(payload: Buffer): Residue {
  return { cgroup: (payload.readUInt32LE(0) & residueFlag.CGROUP) !== 0 };
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

/** NUL-terminated strings, as FRAME_ZONE and FRAME_CREATE carry them. */
export function encodeStrings(strings: readonly string[]): Buffer {
  return Buffer.from(strings.map((text) => `${text}\0`).join(''));
}

/** Of a failure's text, characters that are kept: it stands in records and in the log. */
const maxFailureChars = 2048;

/** What a FAILED frame says. An image's own interpreter may have written it: it is cut, and nothing in it ends a line. */
export function decodeFailure(payload: Buffer): string {
  const text = payload
    .toString('utf8', 0, maxFailureChars)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
      const code = char.codePointAt(0) ?? 0;
      return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
    });
  const isWhole = payload.length <= maxFailureChars && text.length <= maxFailureChars;
  return isWhole ? text : `${text.slice(0, maxFailureChars)}…`;
}
