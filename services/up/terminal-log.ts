import { prettyFactory } from 'pino-pretty';
import type { PlatformLog } from './platform.ts';

const severity = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, silent: 100 };
export type LogLevel = keyof typeof severity;

/** `#` marks a warning in Redis' log, and most of those belong to an ordinary start or stop. */
const redisTrouble = / # (?!WARNING).*(error|fail|can't)/i;

/** For people: the steps of the start, and each child's log as one readable line. */
export function terminalLog(write: (text: string) => void, level: LogLevel): PlatformLog {
  const pretty = prettyFactory({
    colorize: process.stdout.isTTY === true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname,service',
    messageFormat: '{service}: {msg}',
  });
  return {
    step: (text, ms) => write(`  ${text} (${Math.round(ms)} ms)\n`),
    event: (text) => write(`! ${text}\n`),
    line(service, line) {
      // Our own services write JSON, with their level heeded already.
      if (line.startsWith('{')) return write(pretty(line) ?? '');
      const isWarning = service === 'redis' ? redisTrouble.test(line) : line !== 'ready';
      const number = isWarning ? severity.warn : severity.debug;
      if (number < severity[level]) return;
      write(pretty({ level: number, time: Date.now(), service, msg: line }) ?? '');
    },
  };
}
