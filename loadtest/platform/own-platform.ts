import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../services/shared/config.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';

export interface OwnPlatformOptions {
  /** Settings that differ from the defaults, by their variables' names. */
  settings?: Record<string, string>;
  signal: AbortSignal;
  /** Told what a part of the platform complains of. */
  onComplaint: (text: string) => void;
}

/**
 * A platform on a free port and a data directory of its own, which shares only the image store with others.
 * `close` takes all of it away, directory included. Rejects with nothing left when it cannot be started.
 */
export async function startOwnPlatform(options: OwnPlatformOptions): Promise<Platform> {
  const { settings = {}, signal, onComplaint } = options;
  const undo = createUndoStack();
  try {
    signal.throwIfAborted();
    const dataDir = await mkdtemp(join(tmpdir(), 'oncebox-loadtest-'));
    undo.push(() => rm(dataDir, { recursive: true, force: true }));
    // Redis runs as the services' user and has to get through.
    await chmod(dataDir, 0o755);
    const config = loadConfig({
      ONCEBOX_DATA_DIR: dataDir,
      ONCEBOX_STORE_DIR: loadConfig().storeDir,
      ONCEBOX_PORT: '0',
      ONCEBOX_LOG_LEVEL: 'warn',
      ...settings,
    });
    const log = {
      step: () => {},
      event: onComplaint,
      line: (service: string, line: string) => {
        if (service !== 'redis' && service !== 'launcher') onComplaint(`${service}: ${sentenceOf(line)}`);
      },
    };
    const platform = await startPlatform(config, { log, signal });
    undo.push(() => platform.close());
    return { ...platform, close: () => undo.run() };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

/** Our own services log JSON; what they say in a sentence. */
function sentenceOf(line: string): string {
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [msg, err?.message].filter((part) => part !== undefined).join(': ') || line;
  } catch {
    return line;
  }
}
