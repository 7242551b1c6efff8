import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface CommandOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/** Runs what is measured, and what that needs. */
export interface Commands {
  /**
   * Resolves with stdout. Rejects, saying what stderr said, when it fails or takes over half a minute, and at once when
   * aborted before. What runs then is left to end, which takes a moment: a runtime or client that is killed half-way
   * leaves a mount, a cgroup or a container that nobody undoes.
   */
  run(file: string, args: readonly string[], options?: CommandOptions): Promise<string>;
}

const timeoutMs = 30_000;

export function createCommands(signal?: AbortSignal): Commands {
  return {
    run: async (file, args, options) => {
      signal?.throwIfAborted();
      return runCommand(file, args, options);
    },
  };
}

/** One command, aborted or not: things are undone by these. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  // A session of its own, so that a Ctrl-C reaches us alone, and we end things in order.
  const child = spawn(file, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const timeout = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    const ended = new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, killedBy) => resolve(killedBy ?? `${code}`));
    });
    const [end, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    if (end !== '0') throw new Error(`${file}: ${lastWords(stderr) || `ended with ${end}`}`);
    return stdout;
  } finally {
    clearTimeout(timeout);
  }
}

/** Whether a rejection of `run` means that there is no such command. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function lastWords(stderr: string): string {
  return stderr.trim().split('\n').slice(-3).join('; ').slice(0, 500);
}
