import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const native = resolve(import.meta.dirname, '../../runtime/native/build');

/** A launcher for the time of the build: layers are unpacked by it, here as later. */
export async function startLauncher(scratch: string, layersDir: string) {
  const program = join(native, 'oncebox-launcher');
  if (!existsSync(program)) throw new Error(`${program} is missing: make -C runtime/native`);
  const socket = join(scratch, 'launcher.sock');
  const child = spawn(
    program,
    [
      ...['--socket', socket, '--layers', layersDir, '--platform', join(native, 'platform')],
      ...['--worker-uid', '0', '--instance', `setup-${process.pid}`],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), exited]);
  if (child.exitCode !== null) throw new Error(`the launcher ended with exit code ${child.exitCode}`);
  return {
    socket,
    async stop(): Promise<void> {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
