import { Command, Option } from 'commander';
import { type FunctionSettings, retriedOutcomeSchema } from '../../contract/function-settings.ts';
import { milliseconds, nonNegativeInteger, positiveInteger } from '../option-values.ts';
import type { Session } from '../session.ts';

type Retry = NonNullable<FunctionSettings['retry']>;

interface Options {
  concurrency?: number | false;
  keepWarm?: number;
  retry: boolean;
  retryAttempts?: number;
  retryOn?: Retry['on'];
  retryBackoff?: number;
  retryBackoffMax?: number;
  deadLetter?: boolean;
}

export const settingsCommand = (session: Session) =>
  new Command('settings')
    .argument('<function>')
    .option(
      '--concurrency <number>',
      'so many of its calls run at once, at most; 0 stops it',
      nonNegativeInteger,
    )
    .option('--no-concurrency', 'no bound')
    .option('--keep-warm <number>', 'so many sandboxes are kept parked for it', nonNegativeInteger)
    .option(
      '--retry-attempts <number>',
      'runs of a call with --async, the first included, 1 to 10',
      positiveInteger,
    )
    .addOption(
      new Option('--retry-on <outcomes...>', 'which it is run again after; all of them unless given').choices(
        retriedOutcomeSchema.options,
      ),
    )
    .option('--retry-backoff <span>', 'before the second run, doubled with each: 500ms, 2s', milliseconds)
    .option('--retry-backoff-max <span>', 'the longest of these pauses', milliseconds)
    .option('--no-retry', 'run none again')
    .option('--dead-letter', 'keep calls with --async that failed for good')
    .option('--no-dead-letter', 'do not keep them')
    .addHelpText('after', '\nWhat is not given stays as it is. Settings hold for all versions at once.')
    .action(async (name: string, options: Options) => {
      const { client, signal } = session;
      const before = await client.functionSettings(name, signal);
      const after = changed(before, options);
      const settings = after === before ? before : await client.setFunctionSettings(name, after, signal);
      session.print(settings, lines);
    });

/** `before` itself where the command line changes nothing. The platform sets all of them at once. */
function changed(before: FunctionSettings, options: Options): FunctionSettings {
  const { concurrency, keepWarm, deadLetter, retry, ...retried } = options;
  const { retryAttempts, retryOn, retryBackoff, retryBackoffMax } = retried;
  const isRetryGiven = Object.values(retried).some((value) => value !== undefined);
  const isGiven = [concurrency, keepWarm, deadLetter].some((value) => value !== undefined);
  if (!isGiven && !isRetryGiven && retry) return before;
  const { concurrency: oldConcurrency, retry: oldRetry, ...rest } = before;
  const cap = concurrency ?? oldConcurrency ?? false;
  const newRetry: Retry = {
    ...(oldRetry ?? { attempts: 2, on: retriedOutcomeSchema.options, ...defaultBackoff }),
    ...(retryAttempts !== undefined && { attempts: retryAttempts }),
    ...(retryOn !== undefined && { on: retryOn }),
    ...(retryBackoff !== undefined && { backoffMs: retryBackoff }),
    ...(retryBackoffMax !== undefined && { backoffMaxMs: retryBackoffMax }),
  };
  return {
    ...rest,
    ...(cap !== false && { concurrency: cap }),
    ...(keepWarm !== undefined && { keepWarm }),
    ...(retry && (isRetryGiven || oldRetry !== undefined) && { retry: newRetry }),
    ...(deadLetter !== undefined && { deadLetter }),
  };
}

/** The contract's own. */
const defaultBackoff = { backoffMs: 1_000, backoffMaxMs: 60_000 };

function lines({ concurrency, keepWarm = 0, retry, deadLetter = true }: FunctionSettings): string {
  const again =
    retry === undefined || retry.attempts === 1
      ? 'none'
      : `${retry.attempts} attempts, on ${retry.on.join(', ')}; pauses of ${retry.backoffMs} to ${retry.backoffMaxMs} ms`;
  return `concurrency   ${concurrency ?? 'no bound'}
keep warm     ${keepWarm}
retry         ${again}
dead letters  ${deadLetter ? 'kept' : 'not kept'}`;
}
