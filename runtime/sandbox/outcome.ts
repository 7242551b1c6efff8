import { constants } from 'node:os';
import { z } from 'zod';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import { resultJsonOf } from './exact-result.ts';
import { lambdaOutcome } from './lambda-outcome.ts';
import { isTooDeep } from './result-depth.ts';
import type { RunnableProgram, RunReport } from './sandbox.ts';

/** What an interpreter may say on the result channel. User code can write there too: nothing in it is believed
 * beyond its shape. */
const resultMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('result'), value: z.unknown().optional() }),
  z.object({
    type: z.literal('error'),
    name: z.string().max(256),
    message: z.string().max(65_536),
    stack: z.string().max(65_536),
  }),
]);

/**
 * How the run ended, in the contract's words. What stopped it from outside comes first; then caps that were hit and
 * made it fail; then what the program said of itself.
 */
export function outcomeOf(report: RunReport, program: RunnableProgram, limits: Limits): Outcome {
  switch (report.cause) {
    case 'killed':
      return { status: 'cancelled' };
    case 'wall':
      return {
        status: 'timeout',
        limit: 'wall',
        ms: limits.wallMs,
        usedMs: (report.startUsec + report.runUsec) / 1000,
      };
    case 'cpu':
      return { status: 'timeout', limit: 'cpu', ms: limits.cpuMs, usedMs: report.cpuUsec / 1000 };
    case 'output':
      return { status: 'limit_exceeded', limit: 'output', ...outputCap(report, limits) };
    case 'disk':
      return report.inodesFull
        ? exceeded('inodes', limits.diskInodes, report.writtenInodes)
        : exceeded('disk', limits.diskBytes, report.writtenBytes);
    case 'exited':
      return report.exitCode === 0 ? succeeded(report, program) : failed(report, program, limits);
  }
}

/** The peak is what was kept: who writes more is ended, and nobody counts what it would have written. */
function outputCap(report: RunReport, limits: Limits): { max: number; peak: number } {
  if (report.stdoutTruncated) return { max: limits.stdoutBytes, peak: report.stdout.length };
  if (report.stderrTruncated) return { max: limits.stderrBytes, peak: report.stderr.length };
  const max = (report.recordBytes === undefined ? 6 : 64) * 1024 * 1024;
  return { max, peak: max };
}

function succeeded(report: RunReport, program: RunnableProgram): Outcome {
  if (program.kind === 'lambda') return lambdaOutcome(report.result) ?? noResult;
  if (program.kind !== 'handler') return { status: 'ok' };
  const message = parseResult(report.result);
  if (message?.type === 'result') {
    const resultJson = resultJsonOf(Buffer.from(report.result).toString('utf8'));
    return { status: 'ok', result: message.value ?? null, ...(resultJson !== undefined && { resultJson }) };
  }
  // The handler ended the process itself, so nobody was there to return its value.
  return noResult;
}

const noResult: Outcome = {
  status: 'function_error',
  name: 'NoResult',
  message: 'the process exited before the handler returned',
  stack: '',
};

function failed(report: RunReport, program: RunnableProgram, limits: Limits): Outcome {
  const { oomKills, memoryPeakBytes, pidsRefused, diskFull, inodesFull, writtenBytes, writtenInodes } =
    report;
  if (oomKills > 0) return { status: 'oom_killed', memoryMaxBytes: limits.memoryBytes, memoryPeakBytes };
  // A fork is refused when as many are there as may be, whether the kernel keeps the peak or not.
  if (pidsRefused > 0) return exceeded('pids', limits.pids, report.pidsPeak ?? limits.pids);
  if (diskFull) return exceeded('disk', limits.diskBytes, writtenBytes);
  if (inodesFull) return exceeded('inodes', limits.diskInodes, writtenInodes);
  if (report.signal !== null) return { status: 'signaled', signal: signalName(report.signal) };
  const ofLambda = program.kind === 'lambda' ? lambdaOutcome(report.result) : undefined;
  if (ofLambda) return ofLambda;
  const message = parseResult(report.result);
  if (message?.type === 'error') {
    const { name, message: text, stack } = message;
    return { status: 'function_error', name, message: text, stack };
  }
  return { status: 'exited', exitCode: report.exitCode ?? 1 };
}

function exceeded(limit: 'pids' | 'disk' | 'inodes', max: number, peak: number): Outcome {
  return { status: 'limit_exceeded', limit, max, peak };
}

function parseResult(bytes: Uint8Array): z.infer<typeof resultMessageSchema> | undefined {
  if (bytes.length === 0) return undefined;
  const text = Buffer.from(bytes).toString('utf8');
  if (isTooDeep(text)) return undefined;
  try {
    return resultMessageSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function signalName(number: number): string {
  const known = Object.entries(constants.signals).find(([, value]) => value === number);
  return known?.[0] ?? `SIG${number}`;
}
