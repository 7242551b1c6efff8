import type { SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import type { BinaryFile, RunReport } from '../../runtime/sandbox/sandbox.ts';
import type { CompileStage } from '../../sdk/contract/invocation.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import { ArtifactsExceededError, maxArtifactBytes, readArtifacts } from './artifacts.ts';
import { printedOf, usageOf } from './invocation-record.ts';
import type { Run } from './runs.ts';
import { lost, runStage, type Stage } from './stage.ts';

export interface Compiled {
  /** What the record says of it. */
  compile: CompileStage;
  /** What it left in its working directory. */
  files: BinaryFile[];
  /** How the invocation ends, where there is nothing to be run. */
  failure?: Outcome;
}

/**
 * Runs a compiler to its end: nothing of its sandbox is left then, and its memory is free. Rejects as `runStage` does.
 */
export async function compileProgram(stage: Stage, source: SandboxSource, run: Run): Promise<Compiled> {
  const captured = { ...stage, run: { ...stage.run, captureWork: maxArtifactBytes } };
  const { lease, report, outcome } = await runStage(captured, source, run);
  const [{ files, failure }] = await Promise.all([
    outcome.status === 'ok' ? takeArtifacts(report) : { files: [], failure: outcome },
    lease.sandbox.dead,
  ]);
  const compile: CompileStage = {
    outcome: failure ?? outcome,
    start: lease.start,
    usage: usageOf(report),
    ...printedOf(report),
  };
  return { compile, files, ...(failure && { failure: failureOf(failure) }) };
}

async function takeArtifacts({
  changes,
  writtenBytes,
}: RunReport): Promise<{ files: BinaryFile[]; failure?: Outcome }> {
  try {
    if (!changes) throw new ArtifactsExceededError('disk', maxArtifactBytes, writtenBytes);
    return { files: await readArtifacts(changes) };
  } catch (error) {
    if (!(error instanceof ArtifactsExceededError))
      return { files: [], failure: lost(`what the compiler left cannot be read: ${error}`) };
    const { limit, max, peak } = error;
    return { files: [], failure: { status: 'limit_exceeded', limit, max, peak } };
  }
}

/** What is nobody's fault but ours or who cancelled is as true of the whole. */
function failureOf(outcome: Outcome): Outcome {
  return outcome.status === 'cancelled' || outcome.status === 'lost' ? outcome : { status: 'compile_failed' };
}
