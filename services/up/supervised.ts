import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const backoffFirstMs = 100;
const backoffMaxMs = 5_000;
/** A child that lived so long was healthy: when it goes, the next is started with the shortest delay. */
const healthyMs = 10_000;

export interface ChildSpec<T> {
  name: string;
  /** Asked at every start: a restart may need other arguments than the first. */
  command: () => { file: string; args: string[]; env: NodeJS.ProcessEnv };
  /** Whether it is one of ours in Node: no other should inherit an IPC channel. */
  hasIpc: boolean;
  /** Resolves when the child serves. Its failure or the child's exit before that fails the start. */
  ready: (child: ChildProcess) => Promise<T>;
  /** A child that has not ended so long after SIGTERM is killed. */
  stopTimeoutMs: number;
  onLine: (line: string) => void;
  /** Told of crashes and restarts. */
  onEvent: (text: string) => void;
}

/**
 * One child process, restarted with back-off when it goes by itself. It leads a process group of its own, so that
 * a Ctrl-C in the terminal reaches only us, and we end the parts in order. Its stdin is a pipe, and a service has
 * an IPC channel: either closing tells it that we have gone without goodbye.
 */
export class Supervised<T> {
  readonly #spec: ChildSpec<T>;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #restart: NodeJS.Timeout | undefined;
  #failures = 0;
  #isStopping = false;
  #lastLines: string[] = [];

  constructor(spec: ChildSpec<T>) {
    this.#spec = spec;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves with what `ready` gave. Rejects, with the child's last words, when it ends before. */
  async start(): Promise<T> {
    const { name, command, hasIpc, ready } = this.#spec;
    if (this.#isStopping) throw new Error(`cannot start ${name}: it is being stopped`);
    const { file, args, env } = command();
    const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', ...(hasIpc ? (['ipc'] as const) : [])];
    const startedAt = performance.now();
    this.#lastLines = [];
    const child = spawn(file, args, { env, detached: true, stdio });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#onLine(line));
    }
    // A write to a child that has just gone is no event of its own.
    child.stdin?.on('error', () => {});
    child.on('error', () => {});

    let isReady = false;
    const ended = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
      child.once('error', (error) => resolve(error.message));
    });
    this.#exited = ended.then((how) => {
      if (!isReady || this.#isStopping) return;
      this.#failures = performance.now() - startedAt >= healthyMs ? 0 : this.#failures + 1;
      this.#startAgain(`ended by itself (${how})`);
    });
    const failed = ended.then((how): never => {
      throw new Error(`cannot start ${name}: ${how}${this.#lastLines.map((line) => `\n  ${line}`).join('')}`);
    });
    const result = await Promise.race([ready(child), failed]);
    failed.catch(() => {});
    isReady = true;
    return result;
  }

  /** Asks the child to end, kills it when it does not, and resolves when it has gone. */
  async stop({ force = false } = {}): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return this.#exited;
    child.kill(force ? 'SIGKILL' : 'SIGTERM');
    const timer = setTimeout(() => {
      this.#spec.onEvent(`${this.#spec.name} did not end in ${this.#spec.stopTimeoutMs} ms: killed`);
      child.kill('SIGKILL');
    }, this.#spec.stopTimeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends it at once, also while a `stop` waits. */
  kill(): void {
    this.#isStopping = true;
    this.#child?.kill('SIGKILL');
  }

  #startAgain(why: string): void {
    const delayMs = Math.min(backoffFirstMs * 2 ** this.#failures, backoffMaxMs);
    this.#spec.onEvent(`${this.#spec.name} ${why}: starting it again in ${delayMs} ms`);
    this.#restart = setTimeout(() => {
      this.start().then(
        () => this.#spec.onEvent(`${this.#spec.name} is back`),
        (error: Error) => {
          this.#failures += 1;
          if (!this.#isStopping) this.#startAgain(`did not come back (${error.message})`);
        },
      );
    }, delayMs);
  }

  #onLine(line: string): void {
    this.#lastLines = [...this.#lastLines.slice(-9), line];
    this.#spec.onLine(line);
  }
}
