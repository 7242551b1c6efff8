import type { ClientOptions } from '../../send.ts';
import { patientFetch } from '../patient-fetch.ts';
import { drawsProgress, showProgress } from '../progress.ts';
import type { Session } from '../session.ts';

type Fetch = NonNullable<ClientOptions['fetch']>;

const pieceBytes = 64 * 1024;

/** Uploads with `work`, and draws how far it is on a terminal. `subject` is what is uploaded. */
export async function withUploadProgress<T>(
  session: Session,
  subject: string,
  work: (fetch: Fetch) => Promise<T>,
): Promise<T> {
  if (!drawsProgress(session.io)) return work(patientFetch);
  const progress = showProgress(session.io);
  let isDone = false;
  progress.onEvent({ type: 'step', step: 'upload', subject });
  try {
    const result = await work((url, init) => {
      if (typeof init.body !== 'string') return patientFetch(url, init);
      const body = inPieces(Buffer.from(init.body), (doneBytes, totalBytes) =>
        progress.onEvent({ type: 'progress', doneBytes, totalBytes }),
      );
      // Fetch takes a stream only with this, which says that the reply is read after the body is sent.
      return patientFetch(url, { ...init, body, duplex: 'half' } as RequestInit);
    });
    isDone = true;
    return result;
  } finally {
    progress.end(isDone);
  }
}

function inPieces(bytes: Buffer, onSent: (doneBytes: number, totalBytes: number) => void): ReadableStream {
  let doneBytes = 0;
  return new ReadableStream({
    pull(controller) {
      if (doneBytes === bytes.length) return controller.close();
      const piece = bytes.subarray(doneBytes, doneBytes + pieceBytes);
      doneBytes += piece.length;
      controller.enqueue(piece);
      onSent(doneBytes, bytes.length);
    },
  });
}
