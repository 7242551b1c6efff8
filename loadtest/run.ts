import { join, resolve } from 'node:path';
import { contentionNotes, describeThrottling, readContention } from './machine/contention.ts';
import { describeMachine } from './machine/machine.ts';
import { createTargets } from './platform/targets.ts';
import type { Progress } from './progress.ts';
import { measureReferences } from './references.ts';
import type { Report } from './report/schema.ts';
import type { Findings, Scenario } from './scenario.ts';
import type { Settings } from './settings.ts';
import { ratiosOf } from './targets.ts';

const root = resolve(import.meta.dirname, '..');
const nativeDir = join(root, 'runtime/native');

export interface RunResult {
  report: Report;
  /** Whether every scenario ended, every answer was right and every sandbox answered. */
  isSound: boolean;
}

/**
 * Measures the floors, the controls and then the scenarios, one after another. A scenario that cannot be measured, such
 * as after a wrong answer, is given up with a note, and the others go on. Rejects when the floors cannot be measured, or
 * with the signal's reason; nothing that was started is left then.
 */
export async function runScenarios(
  chosen: readonly Scenario[],
  settings: Settings,
  progress: Progress,
  signal: AbortSignal,
): Promise<RunResult> {
  const at = new Date().toISOString();
  const machine = describeMachine(root);
  const before = readContention();
  const findings: Findings = { series: [], density: [], timelines: [], notes: [] };
  // Before anything is started: the floors are those of a machine that does nothing else.
  const references = settings.url
    ? { floors: [], controls: [] }
    : await measureReferences({ settings, progress, signal, nativeDir });
  const withTarget = createTargets(settings, progress, signal);
  const ran: string[] = [];
  let isSound = true;
  for (const scenario of chosen) {
    if (settings.url && scenario.needsMachine) {
      const why = 'it needs a platform of its own, on this machine';
      findings.notes.push(`${scenario.name} was left out: ${why}`);
      continue;
    }
    progress.step(scenario.name, scenario.description);
    ran.push(scenario.name);
    try {
      await scenario.run({ settings, progress, findings, signal, nativeDir, withTarget });
      progress.end(true);
    } catch (error) {
      progress.end(false);
      signal.throwIfAborted();
      const text = `${scenario.name} was given up: ${(error as Error).message}`;
      progress.note(text);
      findings.notes.push(text);
      isSound = false;
    }
  }

  const after = readContention();
  findings.notes.push(...contentionNotes(machine, before, after));
  if (settings.url) {
    findings.notes.push('the machine is that of the load generator; floors and controls were left out');
  }
  if (settings.isQuick) findings.notes.push('measured with --quick: small counts, a first look');
  const measured = { ...references, ...findings };
  const report: Report = {
    schema: 1,
    at,
    tool: 'oncebox loadtest',
    url: settings.url ?? 'a platform of its own for each scenario',
    scenarios: ran,
    seed: settings.seed,
    machine: {
      ...machine,
      throttling: describeThrottling(before, after),
      client: settings.url ? 'remote' : 'local',
    },
    ...measured,
    ratios: ratiosOf(measured),
  };
  return { report, isSound: isSound && isEveryAnswerRight(report) };
}

function isEveryAnswerRight({ series, density }: Report): boolean {
  const points = density.flatMap((measured) => measured.points);
  return (
    series.every(({ failures }) => failures === 0) &&
    points.every(({ alive, answering }) => answering === alive)
  );
}
