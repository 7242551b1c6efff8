import { CommanderError } from 'commander';
import { explain } from './cli-error.ts';
import type { CommandEntry } from './command-list.ts';
import { createProgram } from './program.ts';
import { type Io, Session } from './session.ts';

/** As `docker run` does: the codes below 125 are the program's own. */
const platformFailure = 125;
const endAsTheProgram = ['run', 'invoke'];

/** Why an `Io`'s signal was aborted, when that was SIGTERM and not Ctrl-C. */
export class Terminated extends Error {}

/**
 * Runs one command line and resolves with its exit code: 0, 1 when the platform refused or failed, 2 when the command
 * line is wrong, 130 when interrupted and 143 when terminated. `run` and `invoke` have the codes of their own that
 * `exit-code.ts` lists. `more` are commands beside those of the SDK.
 */
export async function runCli(
  argv: readonly string[],
  io: Io,
  more: readonly CommandEntry[] = [],
): Promise<number> {
  if (argv[0] === '__complete') {
    const { complete } = await import('./completion/complete.ts');
    return complete(argv.slice(1), io, more);
  }
  const session = new Session(io);
  const isProgram = endAsTheProgram.includes(commandOf(argv) ?? '');
  try {
    const program = await createProgram(session, argv, more);
    await program.parseAsync(argv, { from: 'user' });
    return session.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : isProgram ? platformFailure : 2;
    if (io.signal.aborted) return io.signal.reason instanceof Terminated ? 143 : 130;
    const known = explain(error, session.url);
    if (!known) throw error;
    io.stderr.write(`oncebox: ${known.message}\n`);
    return isProgram ? platformFailure : known.exitCode;
  }
}

function commandOf(argv: readonly string[]): string | undefined {
  return argv.find((word, at) => !word.startsWith('-') && !['--url', '--key'].includes(argv[at - 1] ?? ''));
}
