import { execFile } from 'node:child_process';
import { chmod, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Config, loadConfig } from '../../services/shared/config.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;

export interface FaultyPlatform {
  url: string;
  config: Config;
  /** Process ids of the parts that run. */
  pids: Platform['pids'];
  /** What the supervisor said. */
  events: string[];
  /** What the worker logged, all workers after each other. */
  workerLines: string[];
  /** Ends the platform. Its data stay, for the accounts, until `remove`. */
  stop(options?: { force?: boolean }): Promise<void>;
  remove(): Promise<void>;
}

export interface FaultyPlatformOptions {
  settings?: Record<string, string>;
  /** Puts the data directory on a disk of its own of so many bytes, which can be filled. */
  diskBytes?: number;
}

/** A platform with a data directory and an embedded Redis of its own. It shares only the image store with others. */
export async function startFaultyPlatform(options: FaultyPlatformOptions = {}): Promise<FaultyPlatform> {
  const data = createUndoStack();
  try {
    const dataDir = await mkdtemp(join(tmpdir(), 'oncebox-faults-'));
    data.push(() => rm(dataDir, { recursive: true, force: true }));
    if (options.diskBytes !== undefined) data.push(await mountDisk(dataDir, options.diskBytes));
    // Redis runs as the services' user and has to get through.
    await chmod(dataDir, 0o755);
    const config = loadConfig({
      ONCEBOX_DATA_DIR: dataDir,
      ONCEBOX_STORE_DIR: process.env.ONCEBOX_STORE_DIR ?? '/var/lib/oncebox/store',
      ONCEBOX_PORT: '0',
      ONCEBOX_LOG_LEVEL: 'debug',
      // The accounts need every record.
      ONCEBOX_RECORDS_KEPT: '1000000',
      ONCEBOX_POOL_NODE: '4',
      ONCEBOX_POOL_PYTHON: '4',
      ONCEBOX_POOL_BASH: '2',
      ONCEBOX_REDIS_MEMORY_BYTES: String(512 * MiB),
      ...options.settings,
    });
    const events: string[] = [];
    const workerLines: string[] = [];
    const log = {
      step: () => {},
      event: (text: string) => events.push(text),
      line: (service: string, line: string) => service === 'worker' && workerLines.push(line),
    };
    const platform = await startPlatform(config, { log });
    return {
      url: platform.url,
      config,
      pids: platform.pids,
      events,
      workerLines,
      stop: (how) => platform.close(how),
      async remove() {
        await platform.close({ force: true });
        await data.run();
      },
    };
  } catch (error) {
    await data.run();
    throw error;
  }
}

/** An ext4 of its own in a file, or a tmpfs where there are no loop devices. Returns what takes it away. */
async function mountDisk(directory: string, bytes: number): Promise<() => Promise<void>> {
  const image = `${directory}.img`;
  const file = await open(image, 'w');
  await file.truncate(bytes);
  await file.close();
  try {
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
    await run('mount', ['-o', 'loop', image, directory]);
  } catch {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory]);
  }
  return async () => {
    await run('umount', [directory]);
    await rm(image);
  };
}
