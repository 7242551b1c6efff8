import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { encodeFrame, FrameDecoder, frameType } from '../../zygote/protocol.ts';
import { StoreError } from '../store-error.ts';

/** Caps of one build. */
export interface BuildLimits {
  memoryBytes: number;
  /** Of everything the build has on disk at once: context, working copies, result. */
  diskBytes: number;
  diskInodes: number;
  pids: number;
  /** Cores; 0.5 is half of one. */
  cpus: number;
  wallMs: number;
}

/** How the builder ended; `struct build_report` in runtime/native/oncebox.h. */
export interface BuildReport {
  cause: (typeof buildCauses)[number];
  /** Which command was the last to run, from 1. */
  command: number;
  /** Null: ended by a signal. */
  exitCode: number | null;
  signal: number | null;
  oomKills: number;
  pidsRefused: number;
}

export interface ConfinedBuild {
  launcherSocket: string;
  limits: BuildLimits;
  /** Directory names of layers that the builder sees under `/layers`. */
  layers: readonly string[];
  /** A tar that becomes the content of `/build`; `/build/commands` must be in it. */
  input: AsyncIterable<Uint8Array>;
  onOutput: (bytes: Buffer) => void;
  /** Gets a tar of `/build/out`, if all commands succeeded; awaited before more is read. */
  onBuilt: (bytes: Buffer) => Promise<void>;
  signal: AbortSignal;
}

/** Beyond the build's own wall time, which it is ended by from inside. */
const graceMs = 30_000;

/**
 * Has the launcher run the commands in a confinement of their own (runtime/native/build.c). Resolves when they have
 * ended and nothing of them is left, however they ended; rejects when they could not be run, or on `signal`.
 */
export async function runConfinedBuild(build: ConfinedBuild): Promise<BuildReport> {
  const { launcherSocket, limits, onOutput, onBuilt } = build;
  const signal = AbortSignal.any([build.signal, AbortSignal.timeout(limits.wallMs + graceMs)]);
  signal.throwIfAborted();
  // We end our side when the input is through, and go on reading.
  const socket = connect({ path: launcherSocket, allowHalfOpen: true });
  const abort = () => socket.destroy();
  signal.addEventListener('abort', abort);
  try {
    await once(socket, 'connect');
    socket.write(
      encodeFrame(frameType.BUILD, 0, encodeBuildLimits(limits), Buffer.from(`${build.layers.join(':')}\0`)),
    );
    // The answer says more than the broken pipe of a build that ended before it had read everything.
    const sent = send(build.input, socket).catch((error: Error) => error);
    const report = await receive(socket, onOutput, onBuilt);
    const failure = await sent;
    if (report) return report;
    throw failure ?? new Error('the builder ended without an answer; the log of the launcher says why');
  } catch (error) {
    build.signal.throwIfAborted();
    if (signal.aborted) throw new Error('the builder did not end in time');
    if (error instanceof StoreError) throw error;
    throw new Error(`cannot build: ${error instanceof Error ? error.message : error}`, { cause: error });
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

async function send(input: AsyncIterable<Uint8Array>, socket: Socket): Promise<undefined> {
  for await (const chunk of input) {
    if (socket.destroyed) return;
    if (!socket.write(chunk)) await drained(socket);
  }
  socket.end();
}

/** Or closed: then there is nobody to wait for. */
async function drained(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

async function receive(
  socket: Socket,
  onOutput: ConfinedBuild['onOutput'],
  onBuilt: ConfinedBuild['onBuilt'],
): Promise<BuildReport | undefined> {
  const decoder = new FrameDecoder();
  let report: BuildReport | undefined;
  for await (const chunk of socket) {
    for (const { type, payload } of decoder.push(chunk)) {
      // After the report it is about the directory, which the launcher then tries to remove again when it starts.
      if (type === frameType.FAILED && report === undefined) throw new Error(payload.toString());
      if (type === frameType.STDOUT) onOutput(payload);
      if (type === frameType.BUILT) await onBuilt(payload);
      if (type === frameType.DONE) report = decodeBuildReport(payload);
    }
  }
  return report;
}

/** `struct build_limits`. */
export function encodeBuildLimits(limits: BuildLimits): Buffer {
  const bytes = Buffer.allocUnsafe(36);
  bytes.writeBigUInt64LE(BigInt(limits.memoryBytes), 0);
  bytes.writeBigUInt64LE(BigInt(limits.diskBytes), 8);
  bytes.writeBigUInt64LE(BigInt(limits.diskInodes), 16);
  bytes.writeUInt32LE(limits.pids, 24);
  bytes.writeUInt32LE(Math.round(limits.cpus * 1000), 28);
  bytes.writeUInt32LE(limits.wallMs, 32);
  return bytes;
}

/** `enum build_cause`: ended by itself, out of time, above its disk cap, or the disk is full. */
export const buildCauses = ['exited', 'wall', 'disk', 'full'] as const;

/** `struct build_report`. */
export function decodeBuildReport(payload: Buffer): BuildReport {
  const cause = buildCauses[payload.readUInt32LE(0)];
  if (cause === undefined) throw new Error(`unknown end of a build: ${payload.readUInt32LE(0)}`);
  const exitCode = payload.readInt32LE(8);
  const signal = payload.readInt32LE(12);
  return {
    cause,
    command: payload.readUInt32LE(4),
    exitCode: exitCode === -1 ? null : exitCode,
    signal: signal === 0 ? null : signal,
    oomKills: payload.readUInt32LE(16),
    pidsRefused: payload.readUInt32LE(20),
  };
}
