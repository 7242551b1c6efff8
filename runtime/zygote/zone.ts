import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { encodeInit, encodeJob, type FunctionInit, zygoteArguments } from '../interpreters/program-job.ts';
import {
  type Sandbox,
  SandboxLostError,
  type SandboxSpec,
  type Zone,
  type ZoneMemory,
} from '../sandbox/sandbox.ts';
import { ZygoteSandbox } from '../sandbox/zygote-sandbox.ts';
import {
  decodeFailure,
  decodeStat,
  encodeFrame,
  encodeSpec,
  encodeStrings,
  type Frame,
  FrameDecoder,
  frameType,
  maxReplyBytes,
  maxSandboxes,
} from './protocol.ts';

/** The agent gives up on a zygote that is not ready in time, and says so; so much longer is for an agent that does not. */
const agentLateMs = 5_000;
/** An agent is asked so often whether it still moves, and has so long to say so: a stopped one would have every run wait. */
const pulseEveryMs = 3_000;
const pulseWithinMs = 12_000;

export interface ZoneOptions {
  /** Path of the launcher's Unix socket. */
  launcherSocket: string;
  /** What the launcher gives a zygote to be ready; 30 s unless given. */
  readyMs?: number;
  interpreter: Zone['interpreter'];
  /** What the zygote itself runs on, uppermost first; sandboxes may stack other layers. */
  layers: readonly string[];
  /** Where those layers have their interpreter, as PATH has it. */
  searchPath: string;
  /** The zygote initialises this function before it serves: the layers hold its code, and all sandboxes are for it. */
  init?: FunctionInit | undefined;
  /** The interpreter is the platform's own, and its zygote may have memory for thousands of forks. */
  isTrusted?: boolean | undefined;
  /** What the zygote may have otherwise, its forks' kernel memory included; 2 GiB unless given, and at most. */
  zygoteMemoryBytes?: number | undefined;
  /** Ends a boot that is under way. */
  signal?: AbortSignal | undefined;
}

/** Boots a zone; resolves when its zygote is ready to fork. Rejects with the launcher's or agent's reason. */
export async function openZone(options: ZoneOptions): Promise<Zone> {
  const request = encodeZoneRequest(options);
  const withinMs = (options.readyMs ?? 30_000) + agentLateMs;
  const openedAtMs = performance.now();
  const socket = connect(options.launcherSocket);
  try {
    await once(socket, 'connect');
  } catch (error) {
    throw new SandboxLostError(`cannot reach the launcher at ${options.launcherSocket}`, { cause: error });
  }
  const zone = new ZygoteZone(socket, options.interpreter);
  socket.write(request);
  const late = () => zone.breach(`the zone was not ready within ${withinMs} ms`);
  const deadline = setTimeout(late, withinMs).unref();
  const abort = () => zone.breach('the zone is no longer wanted');
  options.signal?.addEventListener('abort', abort);
  if (options.signal?.aborted) abort();
  try {
    await zone.ready;
  } finally {
    clearTimeout(deadline);
    options.signal?.removeEventListener('abort', abort);
  }
  zone.watch();
  if (options.init) zone.initMs = Math.min(zone.saidInitMs, performance.now() - openedAtMs);
  return zone;
}

/** The first frame of a zone's connection; the launcher reads it in `requests.c`. */
export function encodeZoneRequest(options: Omit<ZoneOptions, 'launcherSocket' | 'readyMs'>): Buffer {
  const { interpreter, layers, searchPath, init, isTrusted, zygoteMemoryBytes } = options;
  const trust = isTrusted ? 'trusted' : `${zygoteMemoryBytes ?? ''}`;
  const strings = [layers.join(':'), searchPath, init ? encodeInit(init) : '', trust];
  return encodeFrame(frameType.ZONE, 0, encodeStrings([...strings, ...zygoteArguments[interpreter]]));
}

class ZygoteZone implements Zone {
  readonly interpreter: Zone['interpreter'];
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;
  initMs: number | undefined;
  /** By the zygote, which may say anything. */
  saidInitMs = 0;
  readonly #socket: Socket;
  #memoryWaiters: Settle<ZoneMemory>[] = [];
  readonly #sandboxes = new Map<number, ZygoteSandbox>();
  readonly #freeSlots: number[] = [];
  /** Tells sandboxes of different zones apart; ids count from one in each. */
  readonly #name = randomBytes(2).toString('hex');
  #usedSlots = 0;
  #generation = 0;
  #open = true;
  /** When the agent last sent anything, by performance.now(). */
  #heardAtMs = 0;
  #settleReady: PromiseWithRejection;

  constructor(socket: Socket, interpreter: Zone['interpreter']) {
    this.interpreter = interpreter;
    this.#socket = socket;
    this.#settleReady = promiseWithRejection();
    this.ready = this.#settleReady.promise;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#lose('the zone is gone');
        resolve();
      });
    });
    const decoder = new FrameDecoder(maxReplyBytes);
    socket.on('error', () => {}); // 'close' follows, and says it all
    socket.on('data', (chunk) => {
      this.#heardAtMs = performance.now();
      try {
        for (const frame of decoder.push(chunk)) this.#hear(frame);
      } catch (error) {
        this.breach(`the zone's agent sent what is no frame: ${error}`);
      }
    });
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    if (!this.#open) throw new SandboxLostError('the zone is gone');
    if (this.#socket.writableEnded) throw new SandboxLostError('the zone is being closed');
    const slot = this.#freeSlots.pop() ?? this.#usedSlots++;
    if (slot >= maxSandboxes) {
      this.#usedSlots--;
      throw new SandboxLostError(`a zone holds ${maxSandboxes} sandboxes at most`);
    }
    // Ids are not reused soon, so that a late frame of a dead sandbox finds nobody. 0 stands for the zone.
    this.#generation = (this.#generation % 400_000) + 1;
    const id = this.#generation * maxSandboxes + slot;
    const sandbox = new ZygoteSandbox({
      id: `${this.#name}-${id.toString(36)}`,
      spec,
      takesInput: true,
      encodeJob: (program) => encodeJob(this.interpreter, program),
      send: (type, ...payload) => this.#send(encodeFrame(type, id, ...payload)),
      breach: (reason) => this.breach(reason),
    });
    this.#sandboxes.set(id, sandbox);
    this.#send(encodeFrame(frameType.CREATE, id, encodeSpec(spec)));
    await sandbox.ready;
    return sandbox;
  }

  memory(): Promise<ZoneMemory> {
    if (!this.#open) return Promise.reject(new SandboxLostError('the zone is gone'));
    if (this.#socket.writableEnded) return Promise.reject(new SandboxLostError('the zone is being closed'));
    this.#send(encodeFrame(frameType.STAT, 0));
    return new Promise((resolve, reject) => {
      this.#memoryWaiters.push({ resolve, reject });
    });
  }

  /** To be called once it is ready. Its end ends that. */
  watch(): void {
    let deadline: NodeJS.Timeout | undefined;
    const ask = setInterval(() => {
      if (deadline !== undefined) return;
      const silent = () => {
        // It has answered others meanwhile: it has much to do, and does it.
        if (performance.now() - this.#heardAtMs < pulseWithinMs)
          deadline = setTimeout(silent, pulseEveryMs).unref();
        else this.breach(`the zone's agent has not answered for ${pulseWithinMs} ms`);
      };
      // If it was us who stood still, its answer is there and waits for its turn, which comes before the second timer.
      deadline = setTimeout(() => {
        deadline = setTimeout(silent, pulseEveryMs).unref();
      }, pulseWithinMs - pulseEveryMs).unref();
      this.memory().then(
        () => {
          clearTimeout(deadline);
          deadline = undefined;
        },
        () => {},
      );
    }, pulseEveryMs).unref();
    void this.closed.then(() => {
      clearInterval(ask);
      clearTimeout(deadline);
    });
  }

  async close(): Promise<void> {
    // The agent ends when it reads the end of the stream; the launcher closes our side when the zone is gone.
    this.#socket.end();
    await this.closed;
  }

  /** What comes from the zone is not what our agent sends: nothing in it can be trusted any more. */
  breach(reason: string): void {
    this.#lose(reason);
    this.#socket.destroy();
  }

  /** A write after the end would close the socket, and with it `closed`, while the zone is still there. */
  #send(frame: Buffer): void {
    if (!this.#socket.writableEnded) this.#socket.write(frame);
  }

  #hear(frame: Frame): void {
    if (!this.#open) return;
    if (frame.sandbox === 0) {
      this.#hearOfZone(frame);
      return;
    }
    const sandbox = this.#sandboxes.get(frame.sandbox);
    if (sandbox === undefined) {
      this.breach(`the zone speaks of sandbox ${frame.sandbox}, which is not there`);
      return;
    }
    sandbox.hear(frame);
    if (frame.type === frameType.GONE) {
      this.#sandboxes.delete(frame.sandbox);
      this.#freeSlots.push(frame.sandbox % maxSandboxes);
    }
  }

  #hearOfZone({ type, payload }: Frame): void {
    if (type === frameType.READY) {
      if (payload.length >= 4) this.saidInitMs = payload.readUInt32LE(0) / 1000;
      this.#settleReady.resolve();
    }
    if (type === frameType.STAT) this.#memoryWaiters.shift()?.resolve(decodeStat(payload));
    if (type === frameType.FAILED) this.#lose(decodeFailure(payload));
  }

  #lose(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    const error = new SandboxLostError(reason);
    this.#settleReady.reject(error);
    for (const waiting of this.#memoryWaiters.splice(0)) waiting.reject(error);
    for (const sandbox of this.#sandboxes.values()) sandbox.lose(error);
    this.#sandboxes.clear();
  }
}

interface Settle<Value> {
  resolve(value: Value): void;
  reject(error: Error): void;
}

interface PromiseWithRejection {
  promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

function promiseWithRejection(): PromiseWithRejection {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => {}); // whoever awaits it is told; nobody awaits it after the zone was handed out
  return { promise, resolve, reject };
}
