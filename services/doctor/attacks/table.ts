import Table from 'cli-table3';
import type { AttackRow } from './run-attacks.ts';

/** The table attacks × held and control, and below it what was seen where a wall did not hold. */
export function attackTable(rows: readonly AttackRow[]): string {
  const table = new Table({ head: ['attack', 'tried', 'held', 'control'], style: { head: [], border: [] } });
  for (const { group, title, held, control } of rows) table.push([group, title, word(held), word(control)]);
  const open = rows.filter(({ detail }) => detail !== '').map(({ id, detail }) => `${id}: ${detail}`);
  return [table.toString(), ...open, tally(rows)].join('\n');
}

/** "N held, N broken, N skipped; N controls failed". */
function tally(rows: readonly AttackRow[]): string {
  const count = (test: (row: AttackRow) => boolean) => rows.filter(test).length;
  return (
    `${count(({ held }) => held === true)} held, ${count(({ held }) => held === false)} broken, ` +
    `${count(({ held }) => held === 'skipped')} skipped; ${count(({ control }) => control === false)} controls failed, ` +
    `${count(({ control }) => control === 'skipped')} skipped`
  );
}

function word(result: boolean | 'skipped'): string {
  return result === 'skipped' ? result : result ? 'yes' : 'NO';
}
