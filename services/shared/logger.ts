import { type Logger, pino } from 'pino';

export type { Logger };

/** JSON lines on stdout, written by this thread: a transport's worker thread would load files after root is dropped. */
export function createLogger(level: string, service: string): Logger {
  return pino({ level, base: { service, pid: process.pid } });
}
