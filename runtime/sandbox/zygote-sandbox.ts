import {
  changesOverheadBytes,
  changesWithinMs,
  chunkBytes,
  decodeFailure,
  decodeInputTaken,
  decodeReport,
  decodeResidue,
  decodeStat,
  encodeNumber,
  encodeRunHead,
  type Frame,
  type FrameType,
  frameType,
  hasAllChanges,
  maxResultBytes,
  maxStreamBytes,
  reportBytes,
} from '../zygote/protocol.ts';
import {
  InputUnsupportedError,
  noResidue,
  type Residue,
  type RunnableProgram,
  type RunReport,
  type RunRequest,
  type Sandbox,
  SandboxLostError,
  type SandboxSpec,
  type SandboxStat,
  type SandboxState,
} from './sandbox.ts';

/** The agent gives up on a sandbox that is not ready after 30 s, and says so; this is for an agent that does not. */
const readyWithinMs = 35_000;
/** What ending a run may take beyond its wall limit, of an agent that moves: one that stands still is found by its zone's pulse. */
const endWithinMs = 30_000;
const newline = '\n'.charCodeAt(0);
/** A thousand may be killed at once. */
const deadWithinMs = 30_000;

interface Wiring {
  id: string;
  spec: SandboxSpec;
  /** Whether a run can have more input than what it begins with. */
  takesInput: boolean;
  encodeJob(program: RunnableProgram): Buffer;
  send(type: FrameType, ...payload: Uint8Array[]): void;
  /** The zone did what no agent of ours does: it is to be closed, which ends with `lose`. */
  breach(reason: string): void;
}

interface Settle<Value> {
  resolve(value: Value): void;
  reject(error: Error): void;
}

interface Run extends Settle<RunReport> {
  request: RunRequest;
  isOver: boolean;
}

/** Of each stream, in the worker's memory: more than the default cap on disk, and than any cap on output. */
export const keptBytes = 192 * 1024 * 1024;

/** What of a run is kept up to a cap. */
class Collected {
  readonly #parts: Buffer[] = [];
  readonly #maxBytes: number;
  length = 0;

  constructor(maxBytes = keptBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes beyond what is worth keeping are counted only. */
  add(part: Buffer): void {
    this.length += part.length;
    if (this.length <= this.#maxBytes) this.#parts.push(part);
    else this.#parts.length = 0;
  }

  get isWhole(): boolean {
    return this.length <= this.#maxBytes;
  }

  take(): Buffer {
    return Buffer.concat(this.#parts.splice(0));
  }
}

/**
 * The worker's side of one sandbox of a zone: the frames it sends and what it makes of those it hears. An image's own
 * interpreter may have taken over its zone, so caps and deadlines are checked here once more.
 */
export class ZygoteSandbox implements Sandbox {
  readonly id: string;
  readonly layers: readonly string[];
  readonly createdAtMs = performance.now();
  /** Resolves when it is parked; rejects with SandboxLostError when it could not be made. */
  readonly ready: Promise<void>;
  readonly dead: Promise<Residue>;
  state: SandboxState = 'created';
  readonly #wiring: Wiring;
  readonly #stdout = new Collected();
  readonly #stderr = new Collected();
  #changes = new Collected();
  #recordBytes = 0;
  #stats: Settle<SandboxStat>[] = [];
  #isReady = false;
  #settleReady!: Settle<void>;
  #run: Run | undefined;
  #settleDead!: (residue: Residue) => void;
  #deadline: NodeJS.Timeout;

  constructor(wiring: Wiring) {
    this.#wiring = wiring;
    this.id = wiring.id;
    this.layers = wiring.spec.layers;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.ready.catch(() => {}); // told to whoever awaits it
    this.dead = new Promise((resolve) => {
      this.#settleDead = resolve;
    });
    this.#deadline = this.#within(readyWithinMs, 'was not ready');
  }

  run(request: RunRequest): Promise<RunReport> {
    if (this.state !== 'created') {
      throw new SandboxLostError(`sandbox ${this.id} cannot run: it is ${this.state}`);
    }
    if (request.input && !this.#wiring.takesInput)
      throw new InputUnsupportedError(`sandbox ${this.id} takes no input while its program runs`);
    this.state = 'running';
    const { limits, captureWork } = request;
    this.#changes = new Collected(captureWork);
    const job = this.#wiring.encodeJob(request.program);
    this.#wiring.send(frameType.RUN, encodeRunHead(request), job);
    const { send } = this.#wiring;
    request.input?.attach({
      stdin: (bytes) => send(frameType.STDIN, bytes),
      end: () => send(frameType.STDIN_END),
      signal: (number) => send(frameType.SIGNAL, encodeNumber(number)),
    });
    const endMs = limits.wallMs + endWithinMs + (captures(request) ? changesWithinMs : 0);
    clearTimeout(this.#deadline);
    this.#deadline = this.#within(endMs, 'did not end');
    return new Promise((resolve, reject) => {
      this.#run = { request, isOver: false, resolve, reject };
    });
  }

  async kill(): Promise<void> {
    if (this.state !== 'dead') {
      this.#wiring.send(frameType.KILL);
      clearTimeout(this.#deadline);
      this.#deadline = this.#within(deadWithinMs, 'did not die');
    }
    await this.dead;
  }

  stat(): Promise<SandboxStat> {
    if (this.state === 'dead')
      return Promise.resolve({ memoryBytes: 0, memoryPeakBytes: 0, writableBytes: 0 });
    this.#wiring.send(frameType.STAT);
    return new Promise((resolve, reject) => {
      this.#stats.push({ resolve, reject });
    });
  }

  /** Throws on a frame that is malformed; one that is out of place is a breach. */
  hear(frame: Frame): void {
    const { payload } = frame;
    switch (frame.type) {
      case frameType.READY:
        this.#hearReady();
        break;
      case frameType.STDOUT:
        this.#collect(this.#stdout, payload, (run) => run.request.limits.stdoutBytes + chunkBytes);
        this.#run?.request.onOutput?.('stdout', payload);
        break;
      case frameType.STDERR:
        this.#collect(this.#stderr, payload, (run) => run.request.limits.stderrBytes + chunkBytes);
        this.#run?.request.onOutput?.('stderr', payload);
        break;
      case frameType.RESULT:
        this.#hearRecords(payload);
        break;
      case frameType.INPUT_TAKEN:
        this.#hearInputTaken(payload);
        break;
      case frameType.CHANGES:
        this.#collect(this.#changes, payload, ({ request }) =>
          captures(request) ? request.limits.diskBytes + changesOverheadBytes : 0,
        );
        break;
      case frameType.STAT:
        this.#hearStat(decodeStat(payload));
        break;
      case frameType.DONE:
        this.#hearDone(payload);
        break;
      case frameType.FAILED:
        this.#fail(new SandboxLostError(decodeFailure(payload)));
        break;
      case frameType.GONE:
        this.lose(new SandboxLostError(`sandbox ${this.id} was ended`), decodeResidue(payload));
        break;
      default:
        this.#wiring.breach(`sandbox ${this.id}: frame of unknown type ${frame.type}`);
    }
  }

  /** It is dead, by itself or with its zone, whose end takes everything. What is still waited for fails with `error`. */
  lose(error: SandboxLostError, residue = noResidue): void {
    this.state = 'dead';
    clearTimeout(this.#deadline);
    this.#fail(error);
    for (const waiting of this.#stats.splice(0)) {
      waiting.resolve({ memoryBytes: 0, memoryPeakBytes: 0, writableBytes: 0 });
    }
    this.#settleDead(residue);
  }

  #hearReady(): void {
    if (this.#isReady) this.#wiring.breach(`sandbox ${this.id} was ready twice`);
    this.#isReady = true;
    clearTimeout(this.#deadline);
    this.#settleReady.resolve();
  }

  #hearStat(stat: SandboxStat): void {
    this.#stats.shift()?.resolve(stat);
  }

  #collect(into: Collected, part: Buffer, capOf: (run: Run) => number): void {
    const run = this.#run;
    if (run === undefined || run.isOver) {
      this.#wiring.breach(`sandbox ${this.id} said something without being run`);
      return;
    }
    into.add(part);
    if (into.length > capOf(run)) this.#wiring.breach(`sandbox ${this.id} said more than it may`);
  }

  #hearRecords(records: Buffer): void {
    const run = this.#run;
    if (run === undefined || run.isOver) {
      this.#wiring.breach(`sandbox ${this.id} told a result without being run`);
      return;
    }
    this.#recordBytes += records.length;
    if (this.#recordBytes > maxStreamBytes + maxResultBytes) {
      this.#wiring.breach(`sandbox ${this.id} streamed more than it may`);
      return;
    }
    const taken = () => {
      if (this.state === 'running') this.#wiring.send(frameType.TAKEN, encodeNumber(records.length));
    };
    (run.request.onRecords?.(records) ?? Promise.resolve()).then(taken, taken);
  }

  #hearInputTaken(payload: Buffer): void {
    const run = this.#run;
    const isDue = run && !run.isOver && run.request.input?.taken(decodeInputTaken(payload));
    if (!isDue) this.#wiring.breach(`sandbox ${this.id} took input that it was not sent`);
  }

  #hearDone(payload: Buffer): void {
    const run = this.#run;
    if (run === undefined || run.isOver) {
      this.#wiring.breach(`sandbox ${this.id} was done without being run`);
      return;
    }
    if (payload.length > reportBytes + maxResultBytes) {
      this.#wiring.breach(`sandbox ${this.id} sent a result of ${payload.length} bytes`);
      return;
    }
    this.state = 'stopped';
    const decoded = decodeReport(payload);
    // Where nobody forwards records while they are written, they come with the result.
    const recordsEnd = decoded.result.lastIndexOf(newline) + 1;
    if (recordsEnd > 0) this.#hearRecords(Buffer.from(decoded.result.subarray(0, recordsEnd)));
    run.isOver = true;
    run.request.input?.close();
    const report: RunReport = {
      ...decoded,
      result: decoded.result.subarray(recordsEnd),
      ...(this.#recordBytes > 0 && { recordBytes: this.#recordBytes }),
      stdout: this.#stdout.take(),
      stderr: this.#stderr.take(),
    };
    if (captures(run.request) && hasAllChanges(payload) && this.#changes.isWhole)
      report.changes = this.#changes.take();
    run.resolve(report);
  }

  #within(ms: number, what: string): NodeJS.Timeout {
    const late = () => this.#wiring.breach(`sandbox ${this.id} ${what} within ${ms} ms`);
    return setTimeout(late, ms).unref();
  }

  #fail(error: SandboxLostError): void {
    this.#settleReady.reject(error);
    this.#run?.reject(error);
    this.#run?.request.input?.close();
  }
}

function captures({ captureChanges = false, captureWork }: RunRequest): boolean {
  return captureChanges || captureWork !== undefined;
}
