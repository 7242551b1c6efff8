import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { serviceId } from '../../runtime/image/ids.ts';
import { serviceIds } from '../../services/shared/service-ids.ts';

test.each([
  ['worker', { uid: serviceId, gid: serviceId }],
  ['gateway', { uid: serviceId + 1, gid: serviceId }],
] as const)('a %s that dropped root is what it is to be, with no other group', async (service, ids) => {
  const script = new URL('drop-privileges-child.ts', import.meta.url).pathname;
  const { uid, gid } = serviceIds(serviceId)[service];
  const child = spawn(process.execPath, ['--import', 'tsx', script, `${uid}`, `${gid}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  expect(JSON.parse(line)).toEqual({ ...ids, groups: [ids.gid] });
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([0, null]);
});
