import { expect, test } from 'vitest';
import { atMost } from '../../services/worker/at-most.ts';
import { gate } from '../support/gateway.ts';

test('so many run at once; one more is refused, and is not when another has ended, well or not', async () => {
  const gates = [gate(), gate()];
  const work = atMost(2, 'build an image', async (index: number) => {
    await gates[index]?.opened;
    if (index === 1) throw new Error('it failed');
    return index;
  });
  const first = work(0);
  const second = work(1);
  await expect(work(2)).rejects.toMatchObject({
    code: 'queue_full',
    message: 'cannot build an image: 2 are under way on this node; try later',
  });
  gates[1]?.open();
  await expect(second).rejects.toThrow('it failed');
  expect(await work(2)).toBe(2);
  gates[0]?.open();
  expect(await first).toBe(0);
});
