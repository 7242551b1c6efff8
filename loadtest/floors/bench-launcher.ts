import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface BenchLauncher {
  socket: string;
  /** The name of its cgroups. */
  instance: string;
  stop(): Promise<void>;
}

let started = 0;

/** A launcher of the benchmark's own, with its socket in `directory`. Resolves when it takes requests. */
export async function startLauncher(options: {
  /** Of native code: runtime/native/build. */
  buildDir: string;
  layersDir: string;
  directory: string;
}): Promise<BenchLauncher> {
  const { buildDir, layersDir, directory } = options;
  const instance = `bench-${process.pid}-${++started}`;
  const socket = join(directory, `${instance}.sock`);
  const launcher = spawn(
    join(buildDir, 'oncebox-launcher'),
    [
      ...['--socket', socket, '--layers', layersDir],
      ...['--platform', join(buildDir, 'platform'), '--worker-uid', '0'],
      ...['--instance', instance],
    ],
    // Its stdin is a pipe: closing tells it that we have gone.
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const exited = once(launcher, 'exit');
  const failed = exited.then(([code]): never => {
    throw new Error(`cannot measure: the launcher exited with ${code}`);
  });
  failed.catch(() => {});
  await Promise.race([once(launcher.stdout, 'data'), failed]);
  return {
    socket,
    instance,
    async stop() {
      launcher.kill('SIGTERM');
      await exited;
    },
  };
}
