import { once } from 'node:events';
import { clearLine, cursorTo, type Direction, moveCursor } from 'node:readline';
import { Readable, Writable } from 'node:stream';
import { runCli } from '../../sdk/cli/run-cli.ts';
import type { Io } from '../../sdk/cli/session.ts';

export interface CliOptions {
  stdin?: string | Buffer | Readable;
  env?: Record<string, string>;
  signal?: AbortSignal;
  isTerminal?: boolean;
}

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** A command line under way. */
export interface RunningCli {
  stdout: Collected;
  stderr: Collected;
  interrupt(reason?: Error): void;
  ended: Promise<CliResult>;
}

/** Runs command lines against `url` in this process, with streams of their own. */
export function useCli(url: () => string) {
  const start = useRunningCli(url);
  return (argv: string[], options: CliOptions = {}): Promise<CliResult> => start(argv, options).ended;
}

/** As `useCli`, for those that go on until they are interrupted. */
export function useRunningCli(url: () => string) {
  return (argv: string[], options: CliOptions = {}): RunningCli => {
    const stdout = new Collected();
    const stderr = options.isTerminal ? new CollectedTerminal() : new Collected();
    const interrupted = new AbortController();
    const io: Io = {
      stdin: stdinOf(options.stdin),
      stdout,
      stderr,
      env: { ONCEBOX_URL: url(), ...options.env },
      signal: options.signal ?? interrupted.signal,
    };
    const interrupt = (reason?: Error) => {
      const { onInterrupt } = io;
      io.onInterrupt = undefined;
      if (reason === undefined && onInterrupt) onInterrupt();
      else interrupted.abort(reason);
    };
    const ended = runCli(argv, io).then((code) => ({ code, stdout: stdout.text, stderr: stderr.text }));
    return { stdout, stderr, interrupt, ended };
  };
}

function stdinOf(stdin: CliOptions['stdin']): Readable {
  if (stdin instanceof Readable) return stdin;
  return Readable.from(stdin === undefined ? [] : [Buffer.from(stdin)]);
}

class Collected extends Writable {
  text = '';
  readonly chunks: Buffer[] = [];
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk;
    this.chunks.push(chunk);
    done();
    this.emit('written');
  }

  /** Resolves with the match when what was written matches. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.text);
      if (match) return match;
      await once(this, 'written');
    }
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
