import type { Platform } from '../services/up/platform.ts';
import type { Progress } from './progress.ts';
import type { Density, Series, Timeline } from './report/schema.ts';
import type { Settings } from './settings.ts';

/** A kind of load. Each is a file of `scenarios/`. */
export interface Scenario {
  readonly name: string;
  readonly description: string;
  /** Whether it needs the machine that the platform runs on, and so a platform of our own. */
  readonly needsMachine: boolean;
  /** Puts what it measures into `findings`. Rejects when nothing can be measured, such as after a wrong answer. */
  run(context: ScenarioContext): Promise<void>;
}

export interface ScenarioContext {
  settings: Settings;
  progress: Progress;
  findings: Findings;
  signal: AbortSignal;
  /** Where compiled native code is. */
  nativeDir: string;
  /**
   * Calls `work` with the platform that was named on the command line, or with one of our own that has `environment`
   * besides the defaults and is gone afterwards.
   */
  withTarget<T>(environment: Record<string, string>, work: (target: Target) => Promise<T>): Promise<T>;
}

export interface Target {
  url: string;
  /** Set when it is our own, on this machine. */
  platform?: Platform;
}

/** What a run has found so far; the report is made of it. */
export interface Findings {
  series: Series[];
  density: Density[];
  timelines: Timeline[];
  residue?: { before: Record<string, number>; after: Record<string, number> };
  notes: string[];
}
