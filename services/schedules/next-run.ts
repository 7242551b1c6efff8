import { CronExpressionParser } from 'cron-parser';
import type { ParsedScheduleRequest } from '../../sdk/contract/schedule.ts';
import { PlatformError } from '../shared/platform-error.ts';

/**
 * The first time after `afterMs` at which the expression is due, Unix time in ms. A time of day that the clock skips in
 * spring is due as much later as the clock was set forward; one that comes twice in autumn is due the first time; what is due
 * every few minutes or hours is due in both. Throws where the expression is none.
 */
export function nextRunMs(cron: string, timeZone: string | undefined, afterMs: number): number {
  const options = { tz: timeZone ?? 'UTC', currentDate: new Date(afterMs) };
  return CronExpressionParser.parse(cron, options).next().getTime();
}

/** Throws PlatformError `invalid_request` for an expression or a time zone that there is not. */
export function requireTiming({ cron, timeZone }: ParsedScheduleRequest): void {
  if (timeZone !== undefined && !isTimeZone(timeZone))
    throw invalid('timeZone', `"${timeZone}" is not in the IANA database`);
  if (cron === undefined) return;
  // The parser's own extension: it stands for a random number, which would be another each time.
  if (/(?:^|[\s,])H/i.test(cron)) throw invalid('cron', '"H" is not supported');
  try {
    nextRunMs(cron, timeZone, Date.now());
  } catch (error) {
    throw invalid('cron', (error as Error).message);
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function invalid(field: string, message: string): PlatformError {
  return new PlatformError('invalid_request', `${field}: ${message}`, { field });
}
