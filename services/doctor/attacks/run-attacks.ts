import { allAttacks } from './all-attacks.ts';
import type { Attack } from './attack.ts';
import { Cleanliness } from './cleanliness.ts';
import type { Ground } from './ground.ts';
import { NotHere } from './verdict.ts';

/** One line of the table. */
export interface AttackRow {
  id: string;
  group: string;
  title: string;
  /** What had to happen. */
  must: string;
  /** Every wall held, the next invocation was clean, and nothing was left on the host. */
  held: boolean | 'skipped';
  /** The same act succeeded where no wall is. */
  control: boolean | 'skipped';
  /** What was seen where one of these is not true; empty otherwise. */
  detail: string;
  ms: number;
}

export interface RunAttacksOptions {
  ground: Ground;
  /** Only those whose group or id is named; all unless given. */
  only?: readonly string[];
  onRow?: (row: AttackRow) => void;
}

/**
 * Runs the attacks one after the other, each with its control, and looks after each whether anything of it is left. Resolves
 * with a row for each; never rejects because of what an attack did.
 */
export async function runAttacks({ ground, only = [], onRow }: RunAttacksOptions): Promise<AttackRow[]> {
  const attacks = selectAttacks(only);
  const begun = new Map(
    attacks
      .filter(({ takesLong }) => takesLong)
      .map((attack) => [attack, tryOut(() => attack.attack(ground))]),
  );
  const cleanliness = await Cleanliness.begin(ground);
  const rows: AttackRow[] = [];
  const ordered = [...attacks.filter(({ takesLong }) => !takesLong), ...begun.keys()];
  for (const attack of ordered) {
    ground.signal.throwIfAborted();
    const startedAt = performance.now();
    const attacked = await (begun.get(attack) ?? tryOut(() => attack.attack(ground)));
    const cleaned = await tryOut(() => cleanliness.check());
    const control = await tryOut(() => attack.control(ground));
    const details = [attacked.detail, cleaned.detail, control.detail && `control: ${control.detail}`];
    const row: AttackRow = {
      id: attack.id,
      group: attack.group,
      title: attack.title,
      must: attack.must,
      held: cleaned.result === true ? attacked.result : false,
      control: control.result,
      detail: details.filter((detail) => detail !== '').join('; '),
      ms: performance.now() - startedAt,
    };
    rows.push(row);
    onRow?.(row);
  }
  return rows;
}

/** Those of these groups or ids, in the order of the table; all when none is named. */
export function selectAttacks(only: readonly string[]): Attack[] {
  return allAttacks.filter(({ id, group }) => only.length === 0 || only.includes(id) || only.includes(group));
}

interface Tried {
  result: boolean | 'skipped';
  detail: string;
}

async function tryOut(work: () => Promise<void>): Promise<Tried> {
  try {
    await work();
    return { result: true, detail: '' };
  } catch (error) {
    if (error instanceof NotHere) return { result: 'skipped', detail: error.message };
    const detail = error instanceof Error ? error.message : String(error);
    return { result: false, detail: detail.length > 2_000 ? `${detail.slice(0, 2_000)}…` : detail };
  }
}
