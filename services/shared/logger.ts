import { type Logger, pino } from 'pino';

export type { Logger };

/**
 * JSON lines on stdout, one an event; `service` is on each. Written through process.stdout and not pino's own
 * destination: that one, when whoever read our output is gone, tries for ever and blocks the process it logs for.
 */
export function createLogger(level: string, service: string): Logger {
  if (!process.stdout.listeners('error').includes(ignore)) process.stdout.on('error', ignore);
  return pino(
    { level, base: { service, pid: process.pid } },
    { write: (line: string) => void process.stdout.write(line) },
  );
}

/** One for all loggers of the process. */
function ignore(): void {}
