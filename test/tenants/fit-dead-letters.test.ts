import { expect, test, vi } from 'vitest';
import { createDeadLetterFitter } from '../../services/tenants/fit-dead-letters.ts';

const eventually = (expectation: () => void) => vi.waitFor(expectation, { timeout: 60_000, interval: 20 });

/** Each look at a tenant lasts until it is answered. */
function open() {
  const looks: { tenant: string; ids: string[]; atMs: number; answer: (error?: Error) => void }[] = [];
  const errors: unknown[] = [];
  const fitter = createDeadLetterFitter({
    makeFit: (tenant, ids) =>
      new Promise((resolve, reject) => {
        const answer = (error?: Error) => (error ? reject(error) : resolve());
        looks.push({ tenant, ids, atMs: performance.now(), answer });
      }),
    onError: (error) => errors.push(error),
  });
  return { fitter, looks, errors };
}

test("many dead letters of a tenant are looked at once at a time, once a second, the last of them too, and nobody else's wait", async () => {
  const { fitter, looks } = open();
  const ids = Array.from({ length: 300 }, (_, n) => `inv_${n}`);
  for (const id of ids) fitter.kept('failing', id);
  fitter.kept('other', 'inv_other');
  expect(looks.map(({ tenant }) => tenant)).toEqual(['failing', 'other']);
  looks[0]?.answer();
  await eventually(() => expect(looks).toHaveLength(3));
  const [first, , second] = looks;
  expect(first?.ids).toEqual(ids.slice(0, 1));
  expect(second).toMatchObject({ tenant: 'failing', ids: ids.slice(1) });
  expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(900);
  for (const look of looks) look.answer();
  await fitter.close();
  expect(looks).toHaveLength(3);
});

test('a look that fails is told, and the next dead letter is looked at', async () => {
  const { fitter, looks, errors } = open();
  fitter.kept('failing', 'inv_0');
  looks[0]?.answer(new Error('no Redis'));
  await eventually(() => expect(errors).toMatchObject([{ message: 'no Redis' }]));
  fitter.kept('failing', 'inv_1');
  await eventually(() => expect(looks).toHaveLength(2));
  looks[1]?.answer();
  await fitter.close();
});

test('what was kept before it closes is looked at', async () => {
  const { fitter, looks } = open();
  fitter.kept('failing', 'inv_0');
  fitter.kept('failing', 'inv_1');
  const closed = fitter.close();
  looks[0]?.answer();
  await eventually(() => expect(looks).toHaveLength(2));
  looks[1]?.answer();
  await closed;
  expect(looks.map(({ ids }) => ids)).toEqual([['inv_0'], ['inv_1']]);
});
