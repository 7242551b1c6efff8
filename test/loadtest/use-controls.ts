import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { createCommands } from '../../loadtest/controls/commands.ts';
import type { PeerOptions } from '../../loadtest/controls/peer.ts';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { descendants } from '../support/host.ts';
import { storeDir } from '../support/zones.ts';

export function useDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'oncebox-test-controls-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** What measureControls gives a peer. */
export function peerOptions(runtime: 'node' | 'python', directory: string): PeerOptions {
  const store = openStore(storeDir);
  const argv = runtime === 'node' ? ['node', '-e', 'console.log(1+1)'] : ['python3', '-c', 'print(1+1)'];
  return {
    commands: createCommands(),
    image: { layersDir: store.layersDir, layers: async () => (await store.resolve(runtime)).layers },
    program: { argv, env: { PATH: defaultSearchPath }, stdout: '2\n' },
    directory,
  };
}

/** For the rest of the test PATH is a directory with these shell scripts, and then `rest`. */
export function useSearchPath(scripts: Record<string, string>, rest = ''): void {
  const directory = useDirectory();
  for (const [name, lines] of Object.entries(scripts)) {
    writeFileSync(join(directory, name), `#!/bin/sh\n${lines}\n`);
    chmodSync(join(directory, name), 0o755);
  }
  vi.stubEnv('PATH', [directory, rest].filter((part) => part !== '').join(':'));
  onTestFinished(() => void vi.unstubAllEnvs());
}

/** What a control could leave: processes of ours, mounts in its directory, cgroups. */
export async function takeTraces(directory: string) {
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  return {
    processes: (await descendants(process.pid)).length,
    mounts: mountinfo.split('\n').filter((line) => line.includes(directory)),
    cgroups: await controlCgroups(),
  };
}

/** They are at the top of a hierarchy, v1 or v2. */
async function controlCgroups(): Promise<string[]> {
  const hierarchies = ['', ...(await readdir('/sys/fs/cgroup'))].map((name) => join('/sys/fs/cgroup', name));
  const names = await Promise.all(hierarchies.map((path) => readdir(path).catch(() => [])));
  return names.flat().filter((name) => name.startsWith('oncebox-control'));
}
