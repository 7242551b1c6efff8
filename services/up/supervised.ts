import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const backoffFirstMs = 100;
/** Of one that served and crashed; it took its time to start. And of one that does not come to serve. */
const backoffMaxMs = { served: 1_000, failed: 5_000 };
/** A child that lived so long was healthy: when it goes, the next is started with the shortest delay. */
const healthyMs = 10_000;
/** A start has an end: booting zones on a busy machine takes seconds, and a zone that does not boot is given up after 35 s. */
const readyWithinMs = 90_000;
/** A child that stands still for so long (stopped, or in a loop) is killed; its successor serves. */
const silenceMaxMs = 10_000;
const pulseEveryMs = 2_000;

export interface ChildSpec<T> {
  name: string;
  /** Asked at every start: a restart may need other arguments than the first. */
  command: () => { file: string; args: string[]; env: NodeJS.ProcessEnv };
  /** Whether it is one of ours in Node: no other should inherit an IPC channel. */
  hasIpc: boolean;
  /** Resolves when the child serves. Its failure or the child's exit before that fails the start. */
  ready: (child: ChildProcess) => Promise<T>;
  /** Resolves when the child, which serves, shows that it still moves. Rejecting says nothing; silence does. */
  pulse: (child: ChildProcess) => Promise<unknown>;
  /** A child that has not ended so long after SIGTERM is killed. */
  stopTimeoutMs: number;
  onLine: (line: string) => void;
  /** Told of crashes and restarts. */
  onEvent: (text: string) => void;
  /** How many times as long as usual it may take to start, and to show that it moves; 1 unless given. */
  patience?: number | undefined;
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
    const { name, command, hasIpc, ready, patience = 1 } = this.#spec;
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
      this.#startAgain(`ended by itself (${how})`, backoffMaxMs.served);
    });
    const words = (how: string) =>
      new Error(`cannot start ${name}: ${how}${this.#lastLines.map((line) => `\n  ${line}`).join('')}`);
    const failed = ended.then((how): never => {
      throw words(how);
    });
    failed.catch(() => {});
    const deadline = new AbortController();
    const withinMs = readyWithinMs * patience;
    const late = delay(withinMs, undefined, { signal: deadline.signal }).then((): never => {
      throw words(`it was not ready within ${withinMs} ms`);
    });
    late.catch(() => {});
    try {
      const result = await Promise.race([ready(child), failed, late]);
      isReady = true;
      void this.#watchPulse(child);
      return result;
    } catch (error) {
      // It may live, and would hold the socket or the port of the next one.
      child.kill('SIGKILL');
      await ended;
      throw error;
    } finally {
      deadline.abort();
    }
  }

  async #watchPulse(child: ChildProcess): Promise<void> {
    const { name, pulse, onEvent, patience = 1 } = this.#spec;
    const silenceMs = silenceMaxMs * patience;
    const exited = new AbortController();
    child.once('exit', () => exited.abort());
    const pause = (ms: number, signal = exited.signal) =>
      delay(ms, true, { signal, ref: false }).catch(() => false);
    const moves = () =>
      pulse(child).then(
        () => true,
        () => true,
      );
    while (await pause(pulseEveryMs)) {
      const answered = moves();
      const heard = new AbortController();
      const silence = AbortSignal.any([exited.signal, heard.signal]);
      // If it was us who stood still, the answer lies in our mailbox, and timers come first.
      const isHeard =
        (await Promise.race([answered, pause(silenceMs, silence).then(() => false)])) ||
        (await Promise.race([answered, pause(pulseEveryMs, silence).then(() => false)]));
      heard.abort();
      if (isHeard) continue;
      if (exited.signal.aborted) return;
      onEvent(`${name} has not moved for ${silenceMs + pulseEveryMs} ms: killed`);
      child.kill('SIGKILL');
    }
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

  #startAgain(why: string, maxMs: number): void {
    const delayMs = Math.min(backoffFirstMs * 2 ** this.#failures, maxMs);
    this.#spec.onEvent(`${this.#spec.name} ${why}: starting it again in ${delayMs} ms`);
    this.#restart = setTimeout(() => {
      this.start().then(
        () => this.#spec.onEvent(`${this.#spec.name} is back`),
        (error: Error) => {
          this.#failures += 1;
          if (!this.#isStopping)
            this.#startAgain(`did not come back (${error.message})`, backoffMaxMs.failed);
        },
      );
    }, delayMs);
  }

  #onLine(line: string): void {
    this.#lastLines = [...this.#lastLines.slice(-9), line];
    this.#spec.onLine(line);
  }
}
