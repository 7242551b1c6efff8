import type { Invocation } from '../contract/invocation.ts';
import { outcomeSchema } from '../contract/outcome.ts';
import { OnceboxError } from '../oncebox-error.ts';
import { exitOf } from './exit-code.ts';
import type { Session } from './session.ts';

const failures: readonly string[] = outcomeSchema.options.map(({ shape }) => shape.status.value);

/** The record of the invocation that failed, or undefined where it was the platform that refused. */
export async function failedInvocation(session: Session, error: unknown): Promise<Invocation | undefined> {
  if (!(error instanceof OnceboxError) || error.invocationId === undefined) return undefined;
  if (error.code === undefined || !failures.includes(error.code)) return undefined;
  return session.client.invocation(error.invocationId, session.signal);
}

/** Writes what a call printed to standard error, so that standard output is the result alone. */
export function showLogs(session: Session, { stdout, stderr }: Pick<Invocation, 'stdout' | 'stderr'>): void {
  for (const text of [stdout, stderr]) {
    if (text !== '') session.io.stderr.write(text.endsWith('\n') ? text : `${text}\n`);
  }
}

/** Says how a call failed, and returns the exit code for it. `isLogged`: what it printed has been shown. */
export function explainFailure(session: Session, invocation: Invocation, isLogged: boolean): number {
  const { code, message } = exitOf(isLogged ? invocation : { ...invocation, stderr: '' });
  if (message !== undefined) session.note(`oncebox: ${message}`);
  else if (invocation.outcome?.status === 'exited')
    session.note(`oncebox: its process ended with ${code}, before it returned`);
  const hasLogs = invocation.stdout !== '' || invocation.stderr !== '';
  if (!isLogged && hasLogs) session.note(`"oncebox logs ${invocation.id}" says what it printed`);
  // A handler has to return: that its process ended well is a failure all the same.
  return code === 0 ? 1 : code;
}

/** A text as it is, all else as JSON. */
export function resultText(result: unknown): string {
  return typeof result === 'string' ? result : JSON.stringify(result, null, 2);
}
