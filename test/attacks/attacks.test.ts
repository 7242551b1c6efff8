import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ground, startGround } from '../../services/doctor/attacks/ground.ts';
import { type AttackRow, runAttacks, selectAttacks } from '../../services/doctor/attacks/run-attacks.ts';
import { attackTable } from '../../services/doctor/attacks/table.ts';
import { leftovers } from '../support/platform.ts';

/** Groups or ids, with commas between: for one who works on a wall. */
const only = (process.env.ONCEBOX_ATTACKS ?? '').split(',').filter((name) => name !== '');
const attacks = selectAttacks(only);
const rows = new Map<string, AttackRow>();
let ground: Ground;

// All of them run here, in the order of the table: each must leave the platform as it found it for the next.
beforeAll(async () => {
  ground = await startGround({ signal: new AbortController().signal });
  const onRow = (row: AttackRow) => void rows.set(row.id, row);
  await runAttacks({ ground, only, onRow });
}, 3_600_000);
afterAll(async () => {
  console.log(attackTable([...rows.values()]));
  await ground?.close();
});

test.each(attacks)('$id is held, and succeeds where no wall is', ({ id, title }) => {
  const row = rows.get(id);
  expect(row, `${title}: ${row?.detail ?? 'it was not tried'}`).toMatchObject({
    held: true,
    control: true,
    detail: '',
  });
});

test('nothing is left of the platform that was attacked', async () => {
  await ground.close();
  expect(await leftovers(ground.platform.config)).toEqual({ processes: [], cgroups: [] });
});
