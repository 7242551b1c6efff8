import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, loadConfig } from '../../services/shared/config.ts';
import { copyStore } from './own-store.ts';

/** A platform of its own, on any free port, with the images that set-up made. */
export async function testConfig(settings: Record<string, string> = {}): Promise<Config> {
  return configIn(await newDataDir(), process.env.ONCEBOX_STORE_DIR ?? '/var/lib/oncebox/store', settings);
}

/** As `testConfig`, with a store of its own too, for tests that add images and take them away. */
export async function ownStoreConfig(): Promise<Config> {
  const dataDir = await newDataDir();
  await copyStore(join(dataDir, 'store'));
  return configIn(dataDir, join(dataDir, 'store'));
}

const ownDirs = join(tmpdir(), 'oncebox-up-');
const newDataDir = () => mkdtemp(ownDirs);

function configIn(dataDir: string, storeDir: string, settings: Record<string, string> = {}): Config {
  return loadConfig({
    ...settings,
    ONCEBOX_DATA_DIR: dataDir,
    ONCEBOX_PORT: '0',
    ONCEBOX_STORE_DIR: storeDir,
    ONCEBOX_POOL_NODE: '2',
    ONCEBOX_POOL_PYTHON: '2',
    ONCEBOX_POOL_BASH: '2',
  });
}

export function pathsOf({ ONCEBOX_DATA_DIR, storeDir }: Config) {
  return { ONCEBOX_DATA_DIR, ONCEBOX_STORE_DIR: storeDir };
}

/** What this instance has on the host: others may run beside it. */
export async function leftovers({ ONCEBOX_DATA_DIR, instance }: Config) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const processes = [];
  for (const pid of pids) {
    // Services and Redis name the directory; zones and sandboxes are known by their cgroup.
    const [commandLine, environment, cgroup, stat] = await Promise.all(
      ['cmdline', 'environ', 'cgroup', 'stat'].map((file) =>
        readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => ''),
      ),
    );
    // A zombie has ended: who reaps the orphans of the killed is not ours, and takes its time.
    if (stat?.slice(stat.lastIndexOf(')') + 2).startsWith('Z')) continue;
    const isOurs = commandLine?.includes(ONCEBOX_DATA_DIR) || environment?.includes(ONCEBOX_DATA_DIR);
    if (isOurs || cgroup?.includes(`oncebox/${instance}`)) processes.push(pid);
  }
  const hierarchies = await readdir('/sys/fs/cgroup');
  const cgroups = [...hierarchies.map((name) => `${name}/`), '']
    .map((hierarchy) => `/sys/fs/cgroup/${hierarchy}oncebox/${instance}`)
    .filter((path) => existsSync(path));
  return { processes, cgroups };
}

/** Lines of mountinfo: on the host, but for what other tests mount meanwhile, in directories of their own. */
export async function hostMounts(): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).trim().split('\n');
  return lines.filter((line) => {
    const path = line.split(' ')[4] ?? '';
    return path.startsWith(ownDirs) || !path.startsWith(`${tmpdir()}/`);
  });
}

export const mountCount = async (): Promise<number> => (await hostMounts()).length;
