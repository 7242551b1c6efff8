import type { Limits } from '../../sdk/contract/limits.ts';
import type { Command, Program, SourceFile } from '../../sdk/contract/program.ts';
import type { OpenInput } from './open-input.ts';

/**
 * A container that runs one program once. Made by a zone, run at most once, then dead. Whoever made it owns it
 * until `dead` resolves; nothing has to be called after that.
 */
export interface Sandbox {
  readonly id: string;
  /** Digest hex of every read-only layer, uppermost first. */
  readonly layers: readonly string[];
  /** States and their meaning are those of the OCI runtime spec; `dead` is ours: nothing of it is left. */
  readonly state: SandboxState;
  /** `performance.now()` of creation, milliseconds. */
  readonly createdAtMs: number;
  /**
   * Hands over the program and resolves when that is over; what is left of the sandbox is being discarded then, and
   * `dead` says when. Resolves with a report whatever the program did; rejects with SandboxLostError when the platform lost the sandbox. Throws if called a second time.
   */
  run(request: RunRequest): Promise<RunReport>;
  /** Ends it, in any state; a run under way reports the cause `killed`. Idempotent; resolves as `dead` does. */
  kill(): Promise<void>;
  /** Memory and writable bytes now. Resolves with zeros once dead. */
  stat(): Promise<SandboxStat>;
  /** Resolves when no process and mount of it is left, and says what else could not be taken away. Never rejects. */
  readonly dead: Promise<Residue>;
}

/** What is left of a dead sandbox; all false but when the kernel, or we, have a fault. */
export interface Residue {
  /** Its cgroup's directory stayed busy, though nobody is in it. Zones and the next start of the platform sweep it. */
  cgroup: boolean;
}

export const noResidue: Residue = { cgroup: false };

export type SandboxState = 'created' | 'running' | 'paused' | 'stopped' | 'dead';

/** A file that a sandbox left, which need not be text. */
export interface BinaryFile {
  /** As the contract has it: inside the working directory. */
  path: string;
  bytes: Uint8Array;
}

/** A program, or one whose files another sandbox has made. */
export type RunnableProgram =
  | Program
  | (Omit<Command, 'files'> & { files: readonly (SourceFile | BinaryFile)[] });

export interface RunRequest {
  program: RunnableProgram;
  limits: Limits;
  /** All of it; with `input` what it begins with. */
  stdin: Uint8Array;
  /**
   * More of stdin, which stays open until its end is said, and signals for the main process, all while it runs. A sandbox that an OCI
   * runtime made takes none: `run` throws InputUnsupportedError.
   */
  input?: OpenInput;
  /** Report what the program left in the writable layer. */
  captureChanges?: boolean;
  /** Of that only `/work`, which the spec has to have as `scratch`, and only when its tar is no longer than so many bytes. */
  captureWork?: number;
  /** Files that the program's user alone can read, in `/run/secrets`, whose spec has to have `secrets`. At most 32. */
  secrets?: readonly Secret[];
  /** Told of what the program prints, when it does; the report has all of it again. */
  onOutput?: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;
  /**
   * Given whole records of a result that is streamed, each with its newline: untrusted bytes. More than a mebibyte comes
   * only when what was given before has been settled.
   */
  onRecords?: (records: Uint8Array) => Promise<void>;
}

export interface Secret {
  /** As the contract has it: a plain file name. */
  name: string;
  /** 64 KiB at most. */
  value: Uint8Array;
}

/** Ids inside the zone, 0 to 65535, as the image's /etc/passwd has them. */
export interface SandboxUser {
  uid: number;
  gid: number;
  /** Supplementary groups, at most 32. */
  groups: readonly number[];
}

/** What a sandbox is made of. Two with equal specs are interchangeable until one has run. */
export interface SandboxSpec {
  /** Digest hex of every read-only layer, uppermost first. */
  layers: readonly string[];
  /** Undefined: a user of the sandbox's own, that no other sandbox has. */
  user?: SandboxUser | undefined;
  /** Absolute; made, owned by the user, where the image has none. */
  workingDir: string;
  /**
   * Whether `/work` and `/tmp` are directories of the writable layer itself, hiding those of the image. Renaming a
   * directory works there on every kernel; in an overlay only since Linux 6.6.
   */
  scratch: boolean;
  /** Whether it has a place for secrets; they come with the run. */
  secrets?: boolean;
}

/** What snippets and handlers run in: `/work` is theirs, and so is their user. */
export function scratchSpec(layers: readonly string[]): SandboxSpec {
  return { layers, workingDir: '/work', scratch: true };
}

/** Why the run ended, as the kernel and our timers saw it; `outcomeOf` turns it into the contract's outcome. */
export type EndCause = 'exited' | 'wall' | 'cpu' | 'killed' | 'output' | 'disk';

export interface RunReport {
  cause: EndCause;
  /** Exit code of the main process, or null when a signal ended it. */
  exitCode: number | null;
  /** Number of the signal that ended the main process, or null. */
  signal: number | null;
  /** What the interpreter wrote on its result channel, without the records of a streamed result: untrusted bytes. */
  result: Uint8Array;
  /** What those records were; absent when there were none. */
  recordBytes?: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
  stdoutTruncated: boolean;
  stderrTruncated: boolean;
  cpuUsec: number;
  /** With the next, what `cpuUsec` is. */
  cpuUserUsec: number;
  cpuSystemUsec: number;
  /** How long it was kept off the CPU by its cap on that. */
  throttledUsec: number;
  memoryPeakBytes: number;
  /** The most processes and threads at once; undefined where the kernel does not say. */
  pidsPeak?: number;
  /** The most that its writable layer was seen to hold: looked at during the run and at its end. */
  writtenBytes: number;
  writtenInodes: number;
  /** How long some of its threads waited for each; undefined where the kernel does not say. */
  pressure?: { cpuUsec: number; memoryUsec: number; ioUsec: number };
  /** Times the kernel's OOM killer struck in this sandbox. */
  oomKills: number;
  /** Times a fork was refused by the pids cap. */
  pidsRefused: number;
  diskFull: boolean;
  inodesFull: boolean;
  /**
   * With `captureChanges` or `captureWork`: the writable layer as an OCI layer tar (whiteouts and all). User content: nothing in it is
   * believed. Undefined when not asked for, or when it could not be read.
   */
  changes?: Uint8Array;
  /** Phases, microseconds. */
  startUsec: number;
  runUsec: number;
}

export interface SandboxStat {
  memoryBytes: number;
  memoryPeakBytes: number;
  writableBytes: number;
}

/** What it is made by cannot give a program input while it runs. */
export class InputUnsupportedError extends Error {
  override readonly name = 'InputUnsupportedError';
}

/** Ours, not the program's: the zone or launcher died under the sandbox. */
export class SandboxLostError extends Error {
  override readonly name = 'SandboxLostError';
}

export interface ZoneMemory {
  /** Of the zygote and what the kernel spends on its forks. */
  memoryBytes: number;
  memoryPeakBytes: number;
}

/**
 * Where sandboxes of one interpreter come from: a user namespace with an agent and, for node and python, a
 * zygote. `create` makes an empty, parked, ready sandbox at the price of a fork.
 */
export interface Zone {
  readonly interpreter: 'node' | 'python' | 'exec';
  /** Rejects with SandboxLostError when the zone is gone; the caller opens another. */
  create(spec: SandboxSpec): Promise<Sandbox>;
  /**
   * How long a function's initialisation took in the zygote, milliseconds, as that says itself: never more than opening
   * the zone took. Undefined where there was none.
   */
  readonly initMs: number | undefined;
  /** Rejects with SandboxLostError when the zone is gone. */
  memory(): Promise<ZoneMemory>;
  /** Kills all of it. Resolves when every process of the zone is gone. */
  close(): Promise<void>;
  /** Resolves when the zone has gone, closed or crashed. Never rejects. */
  readonly closed: Promise<void>;
}
