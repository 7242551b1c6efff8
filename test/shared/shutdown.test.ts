import { expect, test } from 'vitest';
import { createLogger } from '../../services/shared/logger.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';

test('what was made last is undone first, once, and a failure does not stop the rest', async () => {
  const done: string[] = [];
  const undo = createUndoStack(createLogger('silent', 'test'));
  undo.push(() => done.push('first'));
  undo.push(() => Promise.reject(new Error('no')));
  undo.push(async () => done.push('last'));
  await Promise.all([undo.run(), undo.run()]);
  expect(done).toEqual(['last', 'first']);
});
