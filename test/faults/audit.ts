import type { LedgerEntry } from './ledger.ts';
import type { Answer } from './load.ts';

export interface Audit {
  accepted: number;
  finished: number;
  /** By outcome, as the records have it. */
  outcomes: Record<string, number>;
  /** Why invocations were lost, and how many. */
  reasons: Record<string, number>;
  /** What should not be, in sentences. */
  findings: string[];
}

export interface Struck {
  /** Workers, by their pids. */
  workers: ReadonlySet<number>;
  /** As many as ran at once, for each fault. */
  lostMax: number;
}

/**
 * Holds what clients were told against what Redis wrote down and the workers logged. Accepted is what was enqueued, whether
 * or not its client heard of that. Only workers that were killed or frozen, by their pids, may have jobs given up, and no
 * more may be lost than ran when something was struck.
 */
export function auditInvocations(
  ledger: ReadonlyMap<string, LedgerEntry>,
  answers: readonly Answer[],
  workerLines: readonly string[],
  { workers, lostMax }: Struck,
): Audit {
  const findings: string[] = [];
  const outcomes: Record<string, number> = {};
  const reasons: Record<string, number> = {};
  const byMarker = new Map<string, LedgerEntry>();
  let accepted = 0;
  let finished = 0;

  for (const entry of ledger.values()) {
    if (entry.added === 0) continue;
    accepted += 1;
    const marker = /marker-\d+-\d+/.exec(entry.data)?.[0];
    if (marker !== undefined) {
      if (byMarker.has(marker)) findings.push(`${marker} was enqueued twice`);
      byMarker.set(marker, entry);
    }
    if (entry.ends.length === 1) finished += 1;
    else
      findings.push(
        `${entry.id} ended ${entry.ends.length} times (${entry.ends.join(', ')}): ${JSON.stringify({ ...entry, data: marker })}`,
      );
    if (entry.taken > 1) findings.push(`${entry.id} was taken ${entry.taken} times to be run`);
    // Ids and durations differ from one to the next.
    const reason = entry.reason?.replace(/[0-9a-f]*\d[0-9a-z-]*/g, '#');
    if (reason !== undefined) reasons[reason] = (reasons[reason] ?? 0) + 1;
    for (const end of entry.ends) outcomes[end] = (outcomes[end] ?? 0) + 1;
  }

  const lost = outcomes.lost ?? 0;
  if (lost > lostMax)
    findings.push(`${lost} were lost, and ${lostMax} at most ran when something was struck`);

  for (const [id, starts] of startsOf(workerLines))
    if (starts > 1) findings.push(`the program of ${id} was started ${starts} times`);

  for (const line of workerLines) {
    if (!line.includes('was given up by others while it ran here')) continue;
    const { invocationId, pid } = JSON.parse(line) as { invocationId: string; pid: number };
    if (!workers.has(pid)) findings.push(`${invocationId} was given up while a sound worker ran it`);
  }

  for (const answer of answers) {
    const entry = byMarker.get(answer.marker);
    const who = `${answer.marker} (${answer.kind})`;
    const end = entry?.ends[0];
    if (answer.end === 'refused' && entry)
      findings.push(`${who} was refused (${answer.status ?? ''} ${answer.code}), and was enqueued`);
    if (answer.end !== 'finished') continue;
    if (!entry) findings.push(`${who} was answered, and Redis knows nothing of it`);
    else if (answer.invocationId !== entry.id)
      findings.push(`${who} was told ${answer.invocationId} for ${entry.id}`);
    else if (answer.outcome !== end)
      findings.push(`${who} was told ${answer.outcome}, and its record says ${end}`);
    if (answer.outcome !== answer.expected && answer.outcome !== 'lost')
      findings.push(`${who} ended ${answer.outcome} and not ${answer.expected}`);
  }
  return { accepted, finished, outcomes, reasons, findings };
}

/** How often the workers handed each invocation's program over. */
function startsOf(lines: readonly string[]): Map<string, number> {
  const starts = new Map<string, number>();
  for (const line of lines) {
    if (!line.includes('program handed over')) continue;
    const { invocationId } = JSON.parse(line) as { invocationId: string };
    starts.set(invocationId, (starts.get(invocationId) ?? 0) + 1);
  }
  return starts;
}
