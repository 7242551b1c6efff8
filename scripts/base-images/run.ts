import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export type Run = (command: string, args: readonly string[]) => Promise<string>;

/**
 * Runs programs with their temporary files in `scratch`; resolves with stdout, rejects with the last lines of output.
 * When `signal` aborts, the program is asked to end and waited for: only then may its files be removed.
 */
export function createRun(scratch: string, signal: AbortSignal): Run {
  return async (command, args) => {
    signal.throwIfAborted();
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: scratch, LC_ALL: 'C.UTF-8' },
    });
    const ended = new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'));
    });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop);
    const outputs = Promise.all([text(child.stdout), text(child.stderr), ended]);
    const [stdout, stderr, end] = await outputs.finally(() => signal.removeEventListener('abort', stop));
    signal.throwIfAborted();
    if (end === 0) return stdout;
    const last = `${stdout}${stderr}`.trimEnd().split('\n').slice(-15).join('\n  ');
    throw new Error(`${command} ended with ${end}; its last lines:\n  ${last}`);
  };
}
