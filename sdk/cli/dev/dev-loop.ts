import { explainFailure, failedInvocation, resultText, showLogs } from '../call.ts';
import { explain } from '../cli-error.ts';
import { functionFiles } from '../deploy/bundle.ts';
import { type DeployOptions, prepareDeployment, sendDeployment } from '../deploy/deploy-directory.ts';
import { readEventFile } from '../event.ts';
import type { Session } from '../session.ts';
import { watchDirectory } from './watch.ts';

export interface DevOptions extends DeployOptions {
  /** A file with the event that every new version is called with. */
  invoke?: string;
}

/** Deploys a directory, and again whenever it has changed, until the session is interrupted. What fails is said only. */
export async function devLoop(session: Session, directory: string, options: DevOptions): Promise<never> {
  const { signal } = session.io;
  // A directory that is not there is a mistake in the command line, and no change to wait for.
  await functionFiles(directory);
  const watcher = await watchDirectory(directory, {
    signal,
    onError: (error) => session.note(`oncebox: cannot watch all of ${directory}: ${error.message}`),
  });
  let lastSent: string | undefined;
  /** Of the version that was sent last: its call is over. A save may be told as two changes, the second of which changes nothing. */
  let isAnswered = true;

  /** `superseded` is aborted by the next change, which makes the answer of this version's call pointless. */
  async function round(superseded: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const preparation = await prepareDeployment(directory, options);
    const sent = JSON.stringify([preparation.name, preparation.request]);
    if (sent === lastSent && isAnswered) return;
    if (sent !== lastSent) {
      const deployed = await sendDeployment(session, preparation);
      lastSent = sent;
      const ms = Math.round(performance.now() - startedAt);
      session.printLine({ type: 'deployed', ...deployed, ms }, ({ name, version }) => {
        return `${clock()} ${name}, version ${version}, in ${ms} ms`;
      });
    }
    if (options.invoke === undefined) return;
    isAnswered = false;
    const ended = AbortSignal.any([signal, superseded]);
    await call(session, preparation.name, options.invoke, ended).catch((error: unknown) => {
      isAnswered = !superseded.aborted;
      throw error;
    });
    isAnswered = true;
  }

  try {
    for (;;) {
      const superseded = new AbortController();
      const change = watcher.changed().finally(() => superseded.abort());
      change.catch(() => {});
      await round(superseded.signal).catch((error: unknown) => {
        if (signal.aborted || superseded.signal.aborted) return;
        const known = explain(error, session.url);
        if (!known) throw error;
        session.note(`${clock()} oncebox: ${known.message}`);
      });
      await change;
    }
  } finally {
    await watcher.close();
  }
}

async function call(session: Session, name: string, eventFile: string, signal: AbortSignal): Promise<void> {
  const event = await readEventFile(eventFile);
  const startedAt = performance.now();
  try {
    const reply = await session.client.invoke(name, event, { signal });
    const ms = Math.round(performance.now() - startedAt);
    showLogs(session, await session.client.invocation(reply.invocationId, { signal }));
    session.printLine({ type: 'result', ...reply, ms }, ({ result }) => resultText(result));
  } catch (error) {
    const invocation = await failedInvocation(session, error);
    if (invocation === undefined) throw error;
    showLogs(session, invocation);
    if (session.json) session.printLine({ type: 'failure', ...invocation }, () => '');
    explainFailure(session, invocation, true);
  }
}

const clock = () => new Date().toTimeString().slice(0, 8);
