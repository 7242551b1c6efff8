import type { InvocationOptions } from '../invocation-headers.ts';
import { explainFailure, resultText } from './call.ts';
import type { Session } from './session.ts';
import { write } from './write.ts';

interface Shown {
  /** What the function prints, on standard error. */
  logs: boolean;
  /** The pieces of its result, on standard output. */
  stream: boolean;
  treated: InvocationOptions;
}

/**
 * Calls a function and shows what it does while it does; its result, where it did not come in pieces, at the end. With
 * `--json` each event is a line, when the result is streamed; else there is one document at the end.
 */
export async function invokeLive(
  session: Session,
  name: string,
  event: unknown,
  { logs, stream, treated }: Shown,
): Promise<void> {
  const { client, io, json } = session;
  let isStreamed = false;
  for await (const { eventId, ...told } of client.invokeEvents(name, event, treated)) {
    if (json && stream) session.printLine(told, () => '');
    switch (told.type) {
      case 'stdout':
      case 'stderr':
        if (logs) await write(io.stderr, told.text);
        break;
      case 'chunk': {
        const piece = 'text' in told ? told.text : Buffer.from(told.base64, 'base64');
        isStreamed = true;
        if (!json) await write(io.stdout, piece);
        break;
      }
      case 'end': {
        const { invocation } = told;
        const { outcome, id: invocationId, start = null } = invocation;
        if (outcome?.status !== 'ok') {
          if (json && !stream) session.print(invocation, () => '');
          session.exitCode = explainFailure(session, invocation, logs);
        } else if (!stream || !(isStreamed || json)) {
          session.print({ result: outcome.result ?? null, invocationId, start }, ({ result }) =>
            resultText(result),
          );
        }
      }
    }
  }
}
