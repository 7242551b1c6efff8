import type { Invocation } from '../../../sdk/contract/invocation.ts';
import { failureOf } from './failure.ts';

const tailBytes = 4096;
const MiB = 1024 * 1024;

/**
 * The last 4 KiB of what Lambda would have in its log, in base64: what the function printed, between lines of the platform's
 * own. Standard output comes before standard error: the record does not say how they were mixed.
 */
export function logTailOf(invocation: Invocation, version: string, memoryBytes: number): string {
  const { id, stdout, stderr, usage, init } = invocation;
  const durationMs = usage?.wallMs ?? 0;
  const report = [
    `REPORT RequestId: ${id}`,
    `Duration: ${durationMs.toFixed(2)} ms`,
    `Billed Duration: ${Math.ceil(durationMs)} ms`,
    `Memory Size: ${Math.round(memoryBytes / MiB)} MB`,
    `Max Memory Used: ${Math.ceil((usage?.memoryPeakBytes ?? 0) / MiB)} MB`,
    ...(init && !init.shared ? [`Init Duration: ${init.ms.toFixed(2)} ms`] : []),
  ].join('\t');
  const text = [
    `START RequestId: ${id} Version: ${version}\n`,
    endOfLine(stdout),
    endOfLine(stderr),
    `END RequestId: ${id}\n`,
    `${report}\t\n`,
    reasonOf(invocation),
  ].join('');
  const bytes = Buffer.from(text);
  return bytes.subarray(Math.max(0, bytes.length - tailBytes)).toString('base64');
}

function endOfLine(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

/** Of one that the platform ended. */
function reasonOf(invocation: Invocation): string {
  const { outcome } = invocation;
  if (outcome === undefined || ['ok', 'function_error', 'lost'].includes(outcome.status)) return '';
  return `${failureOf(invocation)?.errorMessage}\n`;
}
