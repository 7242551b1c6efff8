import { expect, test } from 'vitest';
import { shareKept } from '../../services/worker/share-kept.ts';

const kept = (tenant: string, name: string, count: number) => ({ tenant, name, count });
const counts = (wanted: ReturnType<typeof kept>[], places: number) =>
  shareKept(wanted, places).map(({ tenant, name, count }) => `${tenant}/${name} ${count}`);

test('what fits is kept as it was asked for', () => {
  expect(counts([kept('a', 'f', 3), kept('b', 'g', 5)], 8)).toEqual(['a/f 3', 'b/g 5']);
});

test('who asks for very much, by one function or many, gets what others leave and no more than there is', () => {
  const greedy = Array.from({ length: 50 }, (_, at) => kept('a', `f${at}`, 1000));
  const given = shareKept([...greedy, kept('b', 'g', 4), kept('c', 'h', 100)], 64);
  const of = (tenant: string) =>
    given.filter((one) => one.tenant === tenant).reduce((sum, { count }) => sum + count, 0);
  expect([of('a'), of('b'), of('c')]).toEqual([30, 4, 30]);
});

test('without places nothing is kept', () => {
  expect(counts([kept('a', 'f', 3)], 0)).toEqual([]);
});
