import { explain } from './cli-error.ts';
import type { Session } from './session.ts';

/**
 * Does one thing after the other, as rm(1) does: where one is refused, that is said and the others are done all the same;
 * the command line ends with that one's exit code. A single one that is refused is thrown.
 */
export async function forEach<T, R>(
  session: Session,
  subjects: readonly T[],
  act: (subject: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (const subject of subjects) {
    try {
      results.push(await act(subject));
    } catch (error) {
      const known = explain(error, session.url);
      if (!known || session.io.signal.aborted || subjects.length === 1) throw error;
      session.note(`oncebox: ${known.message}`);
      session.exitCode = known.exitCode;
    }
  }
  return results;
}
