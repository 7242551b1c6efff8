import { execFile } from 'node:child_process';
import { readdir, readlink } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { descendants } from '../support/host.ts';
import { storeDir, useZones } from '../support/zones.ts';

const zones = useZones();
const probe = resolve(import.meta.dirname, 'zone-root.py');

async function agentPid(): Promise<number> {
  await zones.zone('bash');
  return (await descendants(zones.launcherPid()))[0] as number;
}

test("whoever has all capabilities of a zone cannot write to the node's layers, nor make them writable", async () => {
  const { stdout } = await promisify(execFile)('python3', [probe, String(await agentPid())]);
  const { control, ...shared } = JSON.parse(stdout);
  // The same calls on a read-only mount that he made himself.
  expect(control).toEqual({
    before: 'EROFS',
    write: 'EROFS',
    remount: 'ok',
    mount_setattr: 'ok',
    clone: 'ok',
    unmount: 'ok',
    'write afterwards': 'ok',
  });
  for (const path of ['/layers', '/platform']) {
    expect(shared[path]).toMatchObject({
      write: 'EROFS',
      remount: 'EPERM',
      mount_setattr: 'EPERM',
      clone: 'EPERM',
    });
  }
});

test('an agent holds no descriptor of the store', async () => {
  const pid = await agentPid();
  const names = await readdir(`/proc/${pid}/fd`);
  const targets = await Promise.all(names.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  expect(targets.filter((target) => target.startsWith(storeDir))).toEqual([]);
  const launcher = await readdir(`/proc/${zones.launcherPid()}/fd`);
  const held = await Promise.all(
    launcher.map((fd) => readlink(`/proc/${zones.launcherPid()}/fd/${fd}`).catch(() => '')),
  );
  expect(held).toContain(`${storeDir}/layers`); // which the agent was cloned from
});
