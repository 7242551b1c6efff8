import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../services/shared/config.ts';
import { createUndoStack, type UndoStack } from '../services/shared/shutdown.ts';
import { measureControls } from './controls/measure.ts';
import { measureFloors } from './floors/measure.ts';
import type { Progress } from './progress.ts';
import type { Report } from './report/schema.ts';
import type { Settings } from './settings.ts';

interface Options {
  settings: Settings;
  progress: Progress;
  signal: AbortSignal;
  /** Where compiled native code is. */
  nativeDir: string;
}

/**
 * What the platform is compared to, measured while nothing of it runs. Nothing of theirs is left when this settles, also
 * when it rejects with the signal's reason.
 */
export async function measureReferences(options: Options): Promise<Pick<Report, 'floors' | 'controls'>> {
  const { signal } = options;
  signal.throwIfAborted();
  const undo = createUndoStack();
  const onAbort = () => void undo.run();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const directory = await mkdtemp(join(tmpdir(), 'oncebox-floors-'));
    undo.push(() => rm(directory, { recursive: true, force: true }));
    // Redis runs as the services' user and has to get through.
    await chmod(directory, 0o755);
    return await measureIn(directory, undo, options);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await undo.run();
  }
}

async function measureIn(
  directory: string,
  undo: UndoStack,
  { settings, progress, signal, nativeDir }: Options,
): Promise<Pick<Report, 'floors' | 'controls'>> {
  const { isQuick: quick, withControls, runtimes } = settings;
  const config = loadConfig();
  const onProgress = (text: string) => progress.detail(text);
  const options = { storeDir: config.storeDir, directory, quick, onProgress, undo };
  progress.step('floors', 'what no platform on this machine goes below');
  const floors = await measureFloors({ ...options, nativeDir, config });
  const controls: Report['controls'] = [];
  if (!withControls) return { floors, controls };
  progress.step('controls', 'the same program by other ways to a container');
  for (const runtime of quick ? runtimes.slice(0, 1) : runtimes) {
    signal.throwIfAborted();
    const measured = await measureControls({ ...options, runtime });
    controls.push(...measured.map((control) => ({ ...control, name: `${control.name}, ${runtime}` })));
  }
  return { floors, controls };
}
