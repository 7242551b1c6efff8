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
 * Runs the attacks, each with its control, and looks afterwards whether anything of it is left. Resolves with a row for each,
 * in the order of the table; never rejects because of what an attack did.
 */
export async function runAttacks({ ground, only = [], onRow }: RunAttacksOptions): Promise<AttackRow[]> {
  const attacks = selectAttacks(only);
  // Where all is slow, as in an emulator, a zygote's boot is late when others boot beside it.
  const isPatient = ground.patience > 1;
  const whenOf = ({ when = 'alone' }: Attack) => (isPatient && when === 'together' ? 'alone' : when);
  const of = (when: Attack['when']) => attacks.filter((attack) => whenOf(attack) === when);
  const cleanliness = await Cleanliness.begin(ground);
  const rows = new Map<Attack, AttackRow>();
  const add = (attack: Attack, row: AttackRow) => {
    rows.set(attack, row);
    onRow?.(row);
  };

  const begun = of('meanwhile').map((attack) => ({ attack, trying: attempt(attack, ground) }));
  for (const attack of of('alone')) {
    ground.signal.throwIfAborted();
    const tried = await attempt(attack, ground);
    add(attack, rowOf(attack, { ...tried, cleaned: await tryOut(() => cleanliness.check()) }));
  }
  const together = await inParallel(of('together'), togetherMax, (attack) => attempt(attack, ground));
  const cleaned = together.length > 0 ? await tryOut(() => cleanliness.check()) : nothingLeft;
  for (const [attack, tried] of together) add(attack, rowOf(attack, { ...tried, cleaned }));
  for (const { attack, trying } of begun)
    add(attack, rowOf(attack, { ...(await trying), cleaned: await tryOut(() => cleanliness.check()) }));
  return attacks.flatMap((attack) => rows.get(attack) ?? []);
}

/** What runs at once of those that may: zygotes boot two at a time, and a machine has few cores. */
const togetherMax = 5;
const nothingLeft: Tried = { result: true, detail: '' };

interface Attempt {
  attacked: Tried;
  control: Tried;
  ms: number;
}

async function attempt(attack: Attack, ground: Ground): Promise<Attempt> {
  const startedAt = performance.now();
  const attacked = await tryOut(() => attack.attack(ground));
  const control = await tryOut(() => attack.control(ground));
  return { attacked, control, ms: performance.now() - startedAt };
}

function rowOf(
  { id, group, title, must }: Attack,
  { attacked, control, cleaned, ms }: Attempt & { cleaned: Tried },
): AttackRow {
  const details = [attacked.detail, cleaned.detail, control.detail && `control: ${control.detail}`];
  return {
    ...{ id, group, title, must, ms },
    held: cleaned.result === true ? attacked.result : false,
    control: control.result,
    detail: details.filter((detail) => detail !== '').join('; '),
  };
}

/** In their order, so many at a time. */
async function inParallel<T, R>(
  items: readonly T[],
  max: number,
  work: (item: T) => Promise<R>,
): Promise<[T, R][]> {
  const results = new Map<T, R>();
  const waiting = [...items];
  const next = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift())
      results.set(item, await work(item));
  };
  await Promise.all(Array.from({ length: max }, next));
  return items.map((item) => [item, results.get(item) as R]);
}

/** Those of these groups or ids, in the order of the table; all when none is named. Throws when one is neither. */
export function selectAttacks(only: readonly string[]): Attack[] {
  const unknown = only.filter((name) => !allAttacks.some(({ id, group }) => id === name || group === name));
  if (unknown.length > 0) throw new Error(`no attack or group is called ${unknown.join(' or ')}`);
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
