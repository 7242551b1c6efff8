import type { Sandbox } from '../../runtime/sandbox/sandbox.ts';
import type { StartKind } from '../../sdk/contract/invocation.ts';
import type { InvocationJob } from '../queue/job.ts';

/** How long a cancel waits for its job: it can overtake the reply that brings the job to this worker. */
const earlyCancelMs = 10_000;

/** Why a run was aborted: on request, or because this worker stops. */
export type AbortCause = 'cancelled' | 'shutdown';

/** One invocation on this worker. */
export interface Run {
  readonly id: string;
  /** Aborts with an AbortCause as reason. */
  readonly signal: AbortSignal;
  /** Whose it is; undefined until the job is parsed. */
  tenant: string | undefined;
  function: InvocationJob['function'];
  imageDigest: string | undefined;
  start: StartKind | undefined;
  /** Set when the program is handed over; from then on the invocation is never repeated. */
  sandbox: Sandbox | undefined;
}

/** The invocations that this worker has taken and not finished. */
export class Runs {
  readonly #runs = new Map<string, { run: Run; controller: AbortController }>();
  readonly #earlyCancels = new Map<string, NodeJS.Timeout>();

  #isDraining = false;

  get size(): number {
    return this.#runs.size;
  }

  open(id: string): Run {
    const controller = new AbortController();
    const run: Run = {
      id,
      signal: controller.signal,
      tenant: undefined,
      function: undefined,
      imageDigest: undefined,
      start: undefined,
      sandbox: undefined,
    };
    this.#runs.set(id, { run, controller });
    if (this.#earlyCancels.has(id)) controller.abort('cancelled' satisfies AbortCause);
    if (this.#isDraining) controller.abort('shutdown' satisfies AbortCause);
    return run;
  }

  close(run: Run): void {
    this.#runs.delete(run.id);
  }

  /** Cancels the run, also when it begins only within the next seconds. Every worker is told of every cancel. */
  cancel(id: string): void {
    const running = this.#runs.get(id);
    if (running) {
      running.controller.abort('cancelled' satisfies AbortCause);
      return;
    }
    clearTimeout(this.#earlyCancels.get(id));
    this.#earlyCancels.set(id, setTimeout(() => this.#earlyCancels.delete(id), earlyCancelMs).unref());
  }

  /** Whether one that has not begun here was cancelled already. */
  isCancelled(id: string): boolean {
    return this.#earlyCancels.has(id);
  }

  /**
   * Gives up those whose program has not been handed over, also those that the queue's last reply is still to
   * bring: another worker can run them.
   */
  drain(): void {
    this.#isDraining = true;
    for (const { run, controller } of this.#runs.values()) {
      if (run.sandbox === undefined) controller.abort('shutdown' satisfies AbortCause);
    }
  }

  abortAll(): void {
    for (const { controller } of this.#runs.values()) controller.abort('shutdown' satisfies AbortCause);
  }

  bySandbox(sandbox: Sandbox): Run | undefined {
    for (const { run } of this.#runs.values()) if (run.sandbox === sandbox) return run;
    return undefined;
  }
}
