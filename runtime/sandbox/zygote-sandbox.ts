import type { Program } from '../../sdk/contract/program.ts';
import {
  decodeReport,
  decodeStat,
  encodeLimits,
  type Frame,
  type FrameType,
  frameType,
} from '../zygote/protocol.ts';
import {
  type RunReport,
  type RunRequest,
  type Sandbox,
  SandboxLostError,
  type SandboxStat,
  type SandboxState,
} from './sandbox.ts';

interface Wiring {
  id: string;
  layers: readonly string[];
  encodeJob(program: Program): Buffer;
  send(type: FrameType, ...payload: Uint8Array[]): void;
}

interface Settle<Value> {
  resolve(value: Value): void;
  reject(error: Error): void;
}

/** The worker's side of one sandbox of a zone: the frames it sends and what it makes of those it hears. */
export class ZygoteSandbox implements Sandbox {
  readonly id: string;
  readonly layers: readonly string[];
  readonly createdAtMs = performance.now();
  /** Resolves when it is parked; rejects with SandboxLostError when it could not be made. */
  readonly ready: Promise<void>;
  readonly dead: Promise<void>;
  state: SandboxState = 'created';
  readonly #wiring: Wiring;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  #stats: Settle<SandboxStat>[] = [];
  #settleReady!: Settle<void>;
  #settleRun: Settle<RunReport> | undefined;
  #settleDead!: () => void;

  constructor(wiring: Wiring) {
    this.#wiring = wiring;
    this.id = wiring.id;
    this.layers = wiring.layers;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.ready.catch(() => {}); // told to whoever awaits it
    this.dead = new Promise((resolve) => {
      this.#settleDead = resolve;
    });
  }

  run(request: RunRequest): Promise<RunReport> {
    if (this.state !== 'created') {
      throw new SandboxLostError(`sandbox ${this.id} cannot run: it is ${this.state}`);
    }
    this.state = 'running';
    const stdinLength = Buffer.allocUnsafe(4);
    stdinLength.writeUInt32LE(request.stdin.length);
    const job = this.#wiring.encodeJob(request.program);
    this.#wiring.send(frameType.RUN, encodeLimits(request.limits), stdinLength, request.stdin, job);
    return new Promise((resolve, reject) => {
      this.#settleRun = { resolve, reject };
    });
  }

  kill(): Promise<void> {
    if (this.state !== 'dead') this.#wiring.send(frameType.KILL);
    return this.dead;
  }

  stat(): Promise<SandboxStat> {
    if (this.state === 'dead')
      return Promise.resolve({ memoryBytes: 0, memoryPeakBytes: 0, writableBytes: 0 });
    this.#wiring.send(frameType.STAT);
    return new Promise((resolve, reject) => {
      this.#stats.push({ resolve, reject });
    });
  }

  hear(frame: Frame): void {
    switch (frame.type) {
      case frameType.READY:
        this.#settleReady.resolve();
        break;
      case frameType.STDOUT:
        this.#stdout.push(frame.payload);
        break;
      case frameType.STDERR:
        this.#stderr.push(frame.payload);
        break;
      case frameType.STAT:
        this.#stats.shift()?.resolve(decodeStat(frame.payload));
        break;
      case frameType.DONE:
        this.state = 'stopped';
        this.#settleRun?.resolve({
          ...decodeReport(frame.payload),
          stdout: Buffer.concat(this.#stdout),
          stderr: Buffer.concat(this.#stderr),
        });
        break;
      case frameType.FAILED:
        this.#fail(new SandboxLostError(frame.payload.toString()));
        break;
      case frameType.GONE:
        this.lose(new SandboxLostError(`sandbox ${this.id} was ended`));
        break;
    }
  }

  /** It is dead, by itself or with its zone. What is still waited for fails with `error`. */
  lose(error: SandboxLostError): void {
    this.state = 'dead';
    this.#fail(error);
    for (const waiting of this.#stats.splice(0)) {
      waiting.resolve({ memoryBytes: 0, memoryPeakBytes: 0, writableBytes: 0 });
    }
    this.#settleDead();
  }

  #fail(error: SandboxLostError): void {
    this.#settleReady.reject(error);
    this.#settleRun?.reject(error);
  }
}
