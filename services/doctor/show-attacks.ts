import { CliError } from '../../sdk/cli/cli-error.ts';
import { table } from '../../sdk/cli/format.ts';
import type { Session } from '../../sdk/cli/session.ts';
import { startGround } from './attacks/ground.ts';
import { type AttackRow, runAttacks, selectAttacks } from './attacks/run-attacks.ts';
import { type Colour, type Colours, colours } from './colours.ts';
import { auditNode, type Leak } from './leaks/audit-node.ts';

/**
 * Attacks a platform that it starts for that, and takes away. A line for each attack while it goes on, then the table. A
 * wall that did not hold is a failure, and so is a control that did not succeed: its attack proves nothing.
 */
export async function showAttacks(session: Session, only: readonly string[]): Promise<void> {
  const { signal } = session.io;
  if (process.getuid?.() !== 0)
    throw new CliError('cannot attack: a platform is started for it, which takes root; try sudo');
  const count = countOf(only);

  const colour = colours({ ...session.io, stdout: session.io.stderr });
  session.note(`starting a platform of its own; then ${count} attacks, which take some minutes`);
  // What was there before is not of ours.
  const known = await auditNode({ settleMs: 0, signal });
  const ground = await startGround({ signal }).catch((error: Error) => {
    if (signal.aborted) throw error;
    throw new CliError(error.message);
  });
  let rows: AttackRow[];
  let done = 0;
  try {
    rows = await runAttacks({
      ground,
      only,
      onRow(row) {
        done += 1;
        const [word, tint] = verdict(row);
        const seconds = (row.ms / 1000).toFixed(1);
        session.note(
          `${`${done}`.padStart(`${count}`.length)}/${count} ${colour(tint, word)} ${row.group}: ${row.title} (${seconds} s)`,
        );
      },
    });
  } finally {
    await ground.close();
  }
  const { instance } = ground.platform.config;
  // Others on a busy machine leave things for a while; where there is nothing, nothing is waited for.
  const { leaks } = await auditNode({ instance, known, settleMs: 30_000, signal });
  session.print({ rows, leaks }, () => text(rows, leaks, colours(session.io)));
  if (leaks.length > 0 || rows.some(({ held, control }) => held === false || control === false))
    session.exitCode = 1;
}

function countOf(only: readonly string[]): number {
  try {
    return selectAttacks(only).length;
  } catch (error) {
    throw new CliError(`cannot attack: ${(error as Error).message}`, 2);
  }
}

function text(rows: readonly AttackRow[], leaks: readonly Leak[], colour: Colours): string {
  const shown = rows.map(({ group, title, held, control }) => [
    group,
    title,
    held === 'skipped'
      ? colour('yellow', 'could not be tried')
      : held
        ? colour('green', 'held')
        : colour('red', 'BROKEN'),
    control === 'skipped' ? colour('yellow', 'skipped') : control ? 'succeeded' : colour('red', 'FAILED'),
  ]);
  const seen = rows.filter(({ detail }) => detail !== '').map(({ id, detail }) => `${id}: ${detail}`);
  const count = (test: (row: AttackRow) => boolean) => rows.filter(test).length;
  const sums = [
    `${count(({ held }) => held === true)} held`,
    `${count(({ held }) => held === false)} broken`,
    `${count(({ held }) => held === 'skipped')} could not be tried`,
    `${count(({ control }) => control === false)} controls failed`,
    `${leaks.length} things left behind`,
  ];
  return [
    table(['GROUP', 'ATTACK', 'WALL', 'CONTROL'], shown),
    ...seen,
    ...leaks.map(({ kind, what }) => `left behind: ${kind}: ${what}`),
    `${sums.join(', ')}.`,
  ].join('\n\n');
}

function verdict({ held, control }: AttackRow): [string, Colour] {
  if (held === false) return ['BROKEN', 'red'];
  if (control === false) return ['CONTROL FAILED', 'red'];
  if (held === 'skipped' || control === 'skipped') return ['could not be tried', 'yellow'];
  return ['held', 'green'];
}
