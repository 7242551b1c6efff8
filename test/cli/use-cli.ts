import { clearLine, cursorTo, type Direction, moveCursor } from 'node:readline';
import { Readable, Writable } from 'node:stream';
import { runCli } from '../../sdk/cli/run-cli.ts';

export interface CliOptions {
  stdin?: string | Buffer;
  env?: Record<string, string>;
  signal?: AbortSignal;
  isTerminal?: boolean;
}

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs command lines against `url` in this process, with streams of their own. */
export function useCli(url: () => string) {
  return async (argv: string[], options: CliOptions = {}): Promise<CliResult> => {
    const stdout = new Collected();
    const stderr = options.isTerminal ? new CollectedTerminal() : new Collected();
    const code = await runCli(argv, {
      stdin: Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]),
      stdout,
      stderr,
      env: { ONCEBOX_URL: url(), ...options.env },
      signal: options.signal ?? new AbortController().signal,
    });
    return { code, stdout: stdout.text, stderr: stderr.text };
  };
}

class Collected extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

/** What a terminal's stream has besides, and a plain one has not. */
class CollectedTerminal extends Collected {
  readonly isTTY = true;
  readonly columns = 120;
  cursorTo = (x: number) => cursorTo(this, x);
  clearLine = (direction: Direction) => clearLine(this, direction);
  moveCursor = (dx: number, dy: number) => moveCursor(this, dx, dy);
}
