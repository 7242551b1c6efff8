import type { CommandEntry } from './command-list.ts';
import { runCli, Terminated } from './run-cli.ts';
import type { Io } from './session.ts';

/** Runs the command line of this process; `more` are commands beside those of the SDK. */
export async function main(more: readonly CommandEntry[] = []): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGTERM', () => interrupted.abort(new Terminated('terminated')));
  // Whoever reads us may stop reading, as `head` does. What we wait for is cancelled by our end.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

  const { stdin, stdout, stderr, env } = process;
  const io: Io = { stdin, stdout, stderr, env, signal: interrupted.signal };
  process.on('SIGINT', function interrupt() {
    const { onInterrupt } = io;
    io.onInterrupt = undefined;
    if (onInterrupt) return onInterrupt();
    // Another one ends us.
    process.off('SIGINT', interrupt);
    interrupted.abort(new Error('interrupted'));
  });
  process.exitCode = await runCli(process.argv.slice(2), io, more);
  // A terminal's or an open pipe's unread input would keep us.
  stdin.pause();
  stdin.unref?.();
}
