import { CommanderError } from 'commander';
import { explain } from './cli-error.ts';
import { createProgram, type MakeCommand } from './program.ts';
import { type Io, Session } from './session.ts';

/**
 * Runs one command line and resolves with its exit code: 0, 1 when the platform refused or failed, 2 when the command
 * line is wrong, 130 when interrupted. `run` has the codes of its own that `exit-code.ts` lists. `more` are commands beside
 * those of the SDK.
 */
export async function runCli(
  argv: readonly string[],
  io: Io,
  more: readonly MakeCommand[] = [],
): Promise<number> {
  const session = new Session(io);
  const isRun = argv.find((word, at) => !word.startsWith('-') && argv[at - 1] !== '--url') === 'run';
  try {
    await createProgram(session, more).parseAsync(argv, { from: 'user' });
    return session.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : isRun ? 125 : 2;
    if (io.signal.aborted) return 130;
    const known = explain(error, session.url);
    if (!known) throw error;
    io.stderr.write(`oncebox: ${known.message}\n`);
    // As `docker run` does: the codes below 125 are the program's own.
    return isRun ? 125 : known.exitCode;
  }
}
