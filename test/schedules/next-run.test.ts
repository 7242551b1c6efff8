import { expect, test } from 'vitest';
import { scheduleRequestSchema } from '../../sdk/contract/schedule.ts';
import { nextRunMs, requireTiming } from '../../services/schedules/next-run.ts';

function runs(cron: string, timeZone: string | undefined, after: string, count: number): string[] {
  const found: string[] = [];
  for (let atMs = Date.parse(after); found.length < count; ) {
    atMs = nextRunMs(cron, timeZone, atMs);
    found.push(new Date(atMs).toISOString().replace(':00.000Z', 'Z'));
  }
  return found;
}

test('five fields are minutes to weekdays, six begin with seconds, and UTC is the default', () => {
  expect(runs('30 9 * * 1-5', undefined, '2026-11-20T09:30:00Z', 2)).toEqual([
    '2026-11-23T09:30Z',
    '2026-11-24T09:30Z',
  ]);
  expect(nextRunMs('*/15 * * * * *', 'UTC', 1_000_000_000_000)).toBe(1_000_000_005_000);
});

test('a time of day follows the clock of its zone over the year', () => {
  expect(runs('0 7 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 2)).toEqual([
    '2026-03-28T06:00Z',
    '2026-03-29T05:00Z',
  ]);
  expect(runs('0 7 * * *', 'America/New_York', '2026-10-31T12:00:00Z', 1)).toEqual(['2026-11-01T12:00Z']);
});

test('a time of day that the clock skips in spring is due an hour later, once', () => {
  expect(runs('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
    '2026-03-29T01:30Z',
    '2026-03-30T00:30Z',
  ]);
});

test('a time of day that comes twice in autumn is due once, the first time', () => {
  expect(runs('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
    '2026-10-25T00:30Z',
    '2026-10-26T01:30Z',
  ]);
});

test('what is due every hour is due in both hours of autumn, and in none that spring skips', () => {
  expect(runs('0 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 3)).toEqual([
    '2026-10-25T00:00Z',
    '2026-10-25T01:00Z',
    '2026-10-25T02:00Z',
  ]);
  expect(runs('0 * * * *', 'Europe/Berlin', '2026-03-28T23:30:00Z', 3)).toEqual([
    '2026-03-29T00:00Z',
    '2026-03-29T01:00Z',
    '2026-03-29T02:00Z',
  ]);
});

test.each([
  ['minute 60', { cron: '60 * * * *' }, 'cron'],
  ['the 31st of April', { cron: '0 0 31 4 *' }, 'cron'],
  ['a random minute', { cron: 'H * * * *' }, 'cron'],
  ['words', { cron: 'a b c d e' }, 'cron'],
  ['a step of nothing', { cron: '*/0 * * * *' }, 'cron'],
  ['a zone that there is not', { cron: '0 0 * * *', timeZone: 'Europe/Nowhere' }, 'timeZone'],
])('%s is no timing', (_, timing, field) => {
  const request = scheduleRequestSchema.parse({ function: 'hello', ...timing });
  expect(() => requireTiming(request)).toThrow(expect.objectContaining({ details: { field } }));
});

test('names of days and months, lists, steps and the last of a month are timings', () => {
  for (const cron of ['0 0 * jan,MAR mon-fri', '*/5 9-17 * * *', '0 0 L * *', '0 0 * * 5L', '0 12 ? * MON#2'])
    expect(() => requireTiming(scheduleRequestSchema.parse({ function: 'hello', cron }))).not.toThrow();
});
