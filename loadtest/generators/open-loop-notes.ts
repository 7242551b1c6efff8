import { spreadOf } from '../report/statistics.ts';
import type { OpenLoopResult } from './open-loop.ts';

/** A generator that is later than this at p99 measures itself, milliseconds. */
const latenessWorthNotingMs = 10;

/** What a reader of the figures has to know of how they were made. */
export function openLoopNotes(name: string, result: OpenLoopResult, maxInFlight: number): string[] {
  const notes: string[] = [];
  if (result.heldBack > 0) {
    notes.push(
      `${name}: ${result.heldBack} of ${result.requests} requests waited in the generator, because ${maxInFlight} were under way; their latency counts that`,
    );
  }
  const late = spreadOf(result.latenessMs);
  if (late.p99 > latenessWorthNotingMs) {
    notes.push(
      `${name}: the generator itself was late by ${late.p99.toFixed(1)} ms at p99 (${late.p50.toFixed(1)} ms at p50); the processors were busy, and latencies count that`,
    );
  }
  return notes;
}
