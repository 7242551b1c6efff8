/** How an input reaches the program that it belongs to. */
export interface InputSink {
  stdin(bytes: Uint8Array): void;
  end(): void;
  signal(number: number): void;
}

/** What may be sent and not taken, as `STDIN_WINDOW` has it in C, bytes. */
export const stdinWindowBytes = 65_536;

interface Waiting {
  bytes: Uint8Array;
  resolve: () => void;
}

/**
 * Stdin that stays open, and signals, for one run. May be written before that begins. What is sent ahead of the program is bounded; who
 * does not await his writes holds the rest here himself.
 */
export class OpenInput {
  #sink: InputSink | undefined;
  #isOver = false;
  #isEnded = false;
  #isEndSent = false;
  #endIsSent = () => {};
  /** Not sent yet, or not all of it. */
  readonly #unsent: Waiting[] = [];
  readonly #untaken: { left: number; resolve: () => void }[] = [];
  #untakenBytes = 0;
  readonly #unsentSignals: number[] = [];
  readonly #signals: (() => void)[] = [];
  #untakenSignals = 0;

  /**
   * Resolves when all of it is in the program's pipe, or never will be: the program has closed its stdin, or is over. Throws
   * RangeError after `end`.
   */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isEnded) throw new RangeError('stdin has ended');
    if (this.#isOver || bytes.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#unsent.push({ bytes, resolve });
      this.#send();
    });
  }

  /** After all that was written. Resolves when it is said to the program, or the run is over. */
  async end(): Promise<void> {
    if (this.#isEnded || this.#isOver) return;
    this.#isEnded = true;
    await new Promise<void>((resolve) => {
      this.#endIsSent = resolve;
      this.#send();
    });
  }

  /** For the main process, by its number, 1 to 31; ahead of what waits in stdin. Resolves when it is sent, or the run is over. */
  async signal(number: number): Promise<void> {
    if (this.#isOver) return;
    await new Promise<void>((resolve) => {
      this.#signals.push(resolve);
      this.#unsentSignals.push(number);
      this.#send();
    });
  }

  /** By the sandbox: its program is being run. Throws where another has it. */
  attach(sink: InputSink): void {
    if (this.#sink || this.#isOver) throw new Error('an input is for one run');
    this.#sink = sink;
    this.#send();
  }

  /** By the sandbox. False: more than was sent. */
  taken({ bytes, signals }: { bytes: number; signals: number }): boolean {
    if (bytes > this.#untakenBytes || signals > this.#untakenSignals) return false;
    this.#untakenBytes -= bytes;
    this.#untakenSignals -= signals;
    for (let left = bytes, first = this.#untaken[0]; left > 0 && first; first = this.#untaken[0]) {
      const part = Math.min(left, first.left);
      left -= part;
      first.left -= part;
      if (first.left > 0) break;
      first.resolve();
      this.#untaken.shift();
    }
    for (const resolve of this.#signals.splice(0, signals)) resolve();
    this.#send();
    return true;
  }

  /** By the sandbox, and by whoever gives up before there is one: nobody takes it any more. */
  close(): void {
    this.#isOver = true;
    this.#endIsSent();
    const waiting = [...this.#unsent.splice(0), ...this.#untaken.splice(0)];
    for (const { resolve } of waiting) resolve();
    for (const resolve of this.#signals.splice(0)) resolve();
  }

  #send(): void {
    const sink = this.#sink;
    if (!sink || this.#isOver) return;
    for (const number of this.#unsentSignals.splice(0)) {
      this.#untakenSignals += 1;
      sink.signal(number);
    }
    while (this.#untakenBytes < stdinWindowBytes) {
      const first = this.#unsent[0];
      if (!first) break;
      const part = first.bytes.subarray(0, stdinWindowBytes - this.#untakenBytes);
      first.bytes = first.bytes.subarray(part.length);
      this.#untakenBytes += part.length;
      const isAll = first.bytes.length === 0;
      this.#untaken.push({ left: part.length, resolve: isAll ? first.resolve : () => {} });
      if (isAll) this.#unsent.shift();
      sink.stdin(part);
    }
    if (this.#isEnded && this.#unsent.length === 0 && !this.#isEndSent) {
      this.#isEndSent = true;
      sink.end();
      this.#endIsSent();
    }
  }
}
