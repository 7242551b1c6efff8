import type { TaskOptions } from '../client.ts';
import type { ImageSummary } from '../contract/image.ts';
import { showProgress } from './progress.ts';
import type { Session } from './session.ts';

/** Runs a pull, push, import or build with its progress shown, and prints the image it ended with. */
export async function runTask(
  session: Session,
  task: (options: TaskOptions) => Promise<ImageSummary>,
): Promise<void> {
  const progress = showProgress(session.io);
  let isDone = false;
  try {
    const image = await task({ onEvent: progress.onEvent, ...session.signal });
    isDone = true;
    progress.end(isDone);
    session.print(image, ({ reference, digest }) => (reference === null ? digest : `${reference} ${digest}`));
  } finally {
    progress.end(isDone);
  }
}
