import type { LoadRuntime } from './workloads/snippets.ts';

/** What the command line asks for; what it leaves out, each scenario decides for itself. */
export interface Settings {
  /** A platform that runs already, perhaps on another machine; unset: one of our own for each scenario. */
  url?: string | undefined;
  runtimes: readonly LoadRuntime[];
  /** How long a load lasts, milliseconds. */
  durationMs?: number | undefined;
  /** Arrivals a second where these are on a schedule. */
  rate?: number | undefined;
  /** How many at once: callers, calls of a burst, the ramp's last step, sandboxes alive. */
  concurrency?: number | undefined;
  seed: number;
  outDir: string;
  withControls: boolean;
  /** Small counts: a first look, and no basis for claims. */
  isQuick: boolean;
}
