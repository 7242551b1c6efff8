import { type Commands, isMissing } from './commands.ts';
import type { Presence } from './peer.ts';

/** Whether a command is there, by asking for its version; `install` is what to do where it is not. */
export async function probeCommand(
  commands: Commands,
  argv: readonly [string, ...string[]],
  install: string,
  env?: NodeJS.ProcessEnv,
): Promise<Presence> {
  const [file, ...args] = argv;
  try {
    return { available: true, version: versionIn(await commands.run(file, args, { ...(env && { env }) })) };
  } catch (error) {
    const reason = isMissing(error) ? `there is no ${file} on PATH: ${install}` : reasonOf(error);
    return { available: false, version: null, reason };
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Of "runc version 1.1.5+ds1", "bubblewrap 0.8.0", "v20.20.2": what begins with a digit. */
function versionIn(text: string): string {
  const [line = ''] = text.split('\n');
  return /\d\S*/.exec(line)?.[0] ?? line.trim();
}
