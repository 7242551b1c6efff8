import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';

const native = resolve(import.meta.dirname, '../../runtime/native/build');
/** Another build of the launcher, such as the one with sanitizers: `ONCEBOX_TEST_LAUNCHER=$PWD/runtime/native/build-asan/oncebox-launcher`. */
const program = process.env.ONCEBOX_TEST_LAUNCHER ?? join(native, 'oncebox-launcher');
let instances = 0;

export interface TestLauncher {
  readonly pid: number;
  /** What keeps its cgroups apart from others'. */
  readonly instance: string;
  /** Path of its socket. */
  readonly socket: string;
  /** Ends it in order, or at once, and waits until it is gone. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

interface LauncherSettings {
  /** Of its command line, besides. */
  options?: readonly string[];
  instance?: string | undefined;
}

/** A launcher with a socket in `directory`; resolves when it listens. */
export async function startLauncher(
  directory: string,
  layersDir: string,
  workerUid = 0,
  { options = [], instance = `test-${process.pid}-${++instances}` }: LauncherSettings = {},
): Promise<TestLauncher> {
  const socket = join(directory, 'launcher.sock');
  const child = spawn(
    program,
    [
      ...['--socket', socket, '--layers', layersDir, '--platform', join(native, 'platform')],
      ...['--worker-uid', `${workerUid}`, '--instance', instance],
      ...options,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), exited]);
  if (child.exitCode !== null) throw new Error(`the launcher ended with exit code ${child.exitCode}`);
  return {
    pid: child.pid as number,
    instance,
    socket,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await exited;
    },
  };
}
