import { Command, Option } from 'commander';
import type { Schedule } from '../../contract/schedule.ts';
import { readEvent } from '../event.ts';
import { forEach } from '../for-each.ts';
import { ago, table, until } from '../format.ts';
import { milliseconds } from '../option-values.ts';
import type { Session } from '../session.ts';

interface SetOptions {
  cron?: string;
  every?: number;
  timeZone?: string;
  data?: string;
  priority?: 'high' | 'normal' | 'low';
  disabled?: boolean;
}

export const scheduleCommand = (session: Session) =>
  new Command('schedule')
    .addCommand(listCommand(session), { isDefault: true })
    .addCommand(showCommand(session))
    .addCommand(setCommand(session))
    .addCommand(removeCommand(session));

const listCommand = (session: Session) =>
  new Command('ls').description('list schedules').action(async () => {
    const schedules = await session.client.schedules(session.signal);
    session.print(schedules, () =>
      table(
        ['SCHEDULE', 'FUNCTION', 'WHEN', 'NEXT', 'LAST', 'OUTCOME OF THE LAST'],
        schedules.map((one) => [
          one.id,
          one.function,
          when(one),
          one.nextRunAt === null ? '-' : until(one.nextRunAt),
          one.lastRun === undefined ? '-' : ago(one.lastRun.dueAt),
          one.lastRun?.error?.message ?? one.lastRun?.invocationId ?? '-',
        ]),
      ),
    );
  });

const showCommand = (session: Session) =>
  new Command('show')
    .description('print all that is known of a schedule, as JSON')
    .argument('<schedule>')
    .action(async (id: string) => {
      const schedule = await session.client.schedule(id, session.signal);
      session.print(schedule, (value) => JSON.stringify(value, null, 2));
    });

const setCommand = (session: Session) =>
  new Command('set')
    .description('call a function again and again')
    .argument('<schedule>', 'its name; one that is there already is replaced')
    .argument('<function>', 'name, name:alias or name:version')
    .addOption(
      new Option(
        '--cron <expression>',
        'five fields, or six that begin with seconds, such as "0 9 * * 1-5"',
      ).conflicts('every'),
    )
    .option('--every <span>', 'such as 30s, 5min, 2h or 1d', milliseconds)
    .option('--time-zone <name>', 'whose clock --cron is read by, such as Europe/Berlin; UTC unless given')
    .option('-d, --data <json>', 'the event of each call: JSON, @file, or - for standard input')
    .addOption(
      new Option('--priority <class>', 'of the calls, among others that wait').choices([
        'high',
        'normal',
        'low',
      ]),
    )
    .option('--disabled', 'keep it, and call nothing')
    .action(async (id: string, name: string, options: SetOptions) => {
      const event = await readEvent(options.data, session.io);
      const { cron, every, timeZone, priority, disabled = false } = options;
      const request = {
        function: name,
        enabled: !disabled,
        ...(cron !== undefined && { cron }),
        ...(every !== undefined && { everyMs: every }),
        ...(timeZone !== undefined && { timeZone }),
        ...(event !== undefined && { event }),
        ...(priority !== undefined && { priority }),
      };
      const schedule = await session.client.putSchedule(id, request, session.signal);
      session.print(schedule, ({ nextRunAt }) =>
        nextRunAt === null ? `${id} is kept, and calls nothing` : `${id} calls ${name} next at ${nextRunAt}`,
      );
    });

const removeCommand = (session: Session) =>
  new Command('rm')
    .description('remove schedules')
    .argument('<schedules...>')
    .action(async (ids: string[]) => {
      const removed = await forEach(session, ids, async (id) => {
        await session.client.deleteSchedule(id, session.signal);
        return id;
      });
      session.print({ removed }, () => removed.map((id) => `removed ${id}`).join('\n'));
    });

function when({ cron, everyMs = 0, timeZone, enabled }: Schedule): string {
  const rule = cron ?? `every ${everyMs / 1000} s`;
  return `${rule}${timeZone === undefined ? '' : ` ${timeZone}`}${enabled ? '' : ' (disabled)'}`;
}
