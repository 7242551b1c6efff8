import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

interface RunOptions {
  /** Gets what the program writes on its descriptor 3. */
  onStatus?: (text: string) => void;
}

export type Run = (command: string, args: readonly string[], options?: RunOptions) => Promise<string>;

/**
 * Runs programs with their temporary files in `scratch`; resolves with stdout, rejects with the last lines of output.
 * `environment` is ours unless given. When `signal` aborts, the program is asked to end and waited for: only then may
 * its files be removed.
 */
export function createRun(
  scratch: string,
  signal: AbortSignal,
  environment: NodeJS.ProcessEnv = process.env,
): Run {
  return async (command, args, { onStatus } = {}) => {
    signal.throwIfAborted();
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe', onStatus ? 'pipe' : 'ignore'],
      env: { ...environment, TMPDIR: scratch, LC_ALL: 'C.UTF-8' },
    });
    const ended = new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'));
    });
    (child.stdio[3] as Readable | null)?.setEncoding('utf8').on('data', (chunk: string) => onStatus?.(chunk));
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop);
    const { stdout: out, stderr: err } = child as { stdout: Readable; stderr: Readable } & typeof child;
    const outputs = Promise.all([text(out), text(err), ended]);
    const [stdout, stderr, end] = await outputs.finally(() => signal.removeEventListener('abort', stop));
    signal.throwIfAborted();
    if (end === 0) return stdout;
    const last = `${stdout}${stderr}`.trimEnd().split('\n').slice(-15).join('\n  ');
    throw new Error(`${command} ended with ${end}; its last lines:\n  ${last}`);
  };
}
