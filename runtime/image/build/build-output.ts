import { StringDecoder } from 'node:string_decoder';

const maxLineLength = 16 * 1024;
const maxTotalLength = 8 * 1024 * 1024;
const keptLines = 20;

/** Cuts a builder's output into lines, and bounds it: whoever writes a Dockerfile decides how much there is. */
export class BuildOutput {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder();
  readonly #last: string[] = [];
  #pending = '';
  #length = 0;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Buffer): void {
    const lines = (this.#pending + this.#decoder.write(bytes)).split('\n');
    this.#pending = (lines.pop() ?? '').slice(0, maxLineLength);
    for (const line of lines) this.#add(line);
  }

  end(): void {
    if (this.#pending !== '') this.#add(this.#pending);
    this.#pending = '';
  }

  /** The last lines, for a message. */
  get tail(): string {
    return this.#last.join('\n');
  }

  #add(text: string): void {
    // What a progress bar has overwritten is of no use in a log.
    const line = text.replace(/\r$/, '').split('\r').at(-1)?.slice(0, maxLineLength) ?? '';
    this.#last.push(line);
    if (this.#last.length > keptLines) this.#last.shift();
    if (this.#length > maxTotalLength) return;
    this.#length += line.length + 1;
    this.#onLine(this.#length > maxTotalLength ? '[more output is not shown]' : line);
  }
}
