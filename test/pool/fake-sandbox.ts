import {
  type Residue,
  type RunReport,
  type RunRequest,
  type Sandbox,
  SandboxLostError,
  type SandboxSpec,
  type SandboxState,
  type Zone,
} from '../../runtime/sandbox/sandbox.ts';

let made = 0;

/** A sandbox in memory, for faults that a real one has only by bad luck. */
export class FakeSandbox implements Sandbox {
  readonly id = `fake-${++made}`;
  readonly layers: readonly string[];
  readonly createdAtMs = performance.now();
  readonly dead: Promise<Residue>;
  readonly runs: RunRequest[] = [];
  /** Resolves when a program has been handed over. */
  readonly started: Promise<void>;
  state: SandboxState = 'created';
  #settleDead!: (residue: Residue) => void;
  #settleStarted!: () => void;
  #settleRun: { resolve(report: RunReport): void; reject(error: Error): void } | undefined;

  constructor(layers: readonly string[] = []) {
    this.layers = layers;
    this.dead = new Promise((resolve) => {
      this.#settleDead = resolve;
    });
    this.started = new Promise((resolve) => {
      this.#settleStarted = resolve;
    });
  }

  run(request: RunRequest): Promise<RunReport> {
    this.runs.push(request);
    this.state = 'running';
    this.#settleStarted();
    return new Promise((resolve, reject) => {
      this.#settleRun = { resolve, reject };
    });
  }

  async kill(): Promise<void> {
    this.end(report({ cause: 'killed', exitCode: null, signal: 9 }));
    await this.dead;
  }

  stat() {
    return Promise.resolve({ memoryBytes: 1, memoryPeakBytes: 2, writableBytes: 3 });
  }

  /** The program has ended. */
  end(result: RunReport = report()): void {
    this.state = 'dead';
    this.#settleRun?.resolve(result);
    this.#settleDead({ cgroup: false });
  }

  /** It went, and a run with it. */
  lose(reason = 'the zone is gone'): void {
    this.state = 'dead';
    this.#settleRun?.reject(new SandboxLostError(reason));
    this.#settleDead({ cgroup: false });
  }
}

export class FakeZone implements Zone {
  readonly interpreter = 'node';
  readonly initMs: number | undefined;
  memoryBytes = 1;
  readonly sandboxes: FakeSandbox[] = [];
  readonly closed: Promise<void>;
  #isOpen = true;
  #settleClosed!: () => void;

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
  }

  async create({ layers }: SandboxSpec): Promise<Sandbox> {
    if (!this.#isOpen) throw new SandboxLostError('the zone is gone');
    const sandbox = new FakeSandbox(layers);
    this.sandboxes.push(sandbox);
    return sandbox;
  }

  memory() {
    return Promise.resolve({ memoryBytes: this.memoryBytes, memoryPeakBytes: this.memoryBytes });
  }

  close(): Promise<void> {
    this.crash();
    return this.closed;
  }

  crash(): void {
    this.#isOpen = false;
    for (const sandbox of this.sandboxes) if (sandbox.state !== 'dead') sandbox.lose();
    this.#settleClosed();
  }
}

export function report(changes: Partial<RunReport> = {}): RunReport {
  return {
    cause: 'exited',
    exitCode: 0,
    signal: null,
    result: new Uint8Array(),
    stdout: Buffer.from('out\n'),
    stderr: new Uint8Array(),
    stdoutTruncated: false,
    stderrTruncated: false,
    cpuUsec: 1500,
    cpuUserUsec: 1000,
    cpuSystemUsec: 500,
    throttledUsec: 0,
    writtenBytes: 4096,
    writtenInodes: 3,
    memoryPeakBytes: 4096,
    oomKills: 0,
    pidsRefused: 0,
    diskFull: false,
    inodesFull: false,
    startUsec: 100,
    runUsec: 2000,
    ...changes,
  };
}
