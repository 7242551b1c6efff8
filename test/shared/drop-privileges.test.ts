import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, test, vi } from 'vitest';
import { serviceId } from '../../runtime/image/ids.ts';
import { serviceIds } from '../../services/shared/service-ids.ts';
import { descendants } from '../support/host.ts';

test.each([
  ['worker', { uid: serviceId, gid: serviceId }],
  ['gateway', { uid: serviceId + 1, gid: serviceId }],
] as const)('the %s that dropped root has no child left that still is root', async (service, ids) => {
  const script = new URL('drop-privileges-child.ts', import.meta.url).pathname;
  // Without its cache the loader starts its compiler, as on the first start after an update.
  const environment = { PATH: process.env.PATH, TSX_DISABLE_CACHE: '1' };
  const { uid, gid } = serviceIds(serviceId)[service];
  const child = spawn(process.execPath, ['--import', 'tsx', script, `${uid}`, `${gid}`], {
    env: environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { before, ...who } = JSON.parse(line);
  expect(before, 'there was a compiler to end').toBeGreaterThan(0);
  expect(who).toEqual({ ...ids, groups: [ids.gid] });
  // A killed child is there until its parent has been told, which takes its time on a busy machine.
  await vi.waitFor(async () => expect(await descendants(child.pid as number)).toEqual([]), 20_000);
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([0, null]);
});
