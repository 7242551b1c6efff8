import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The programs that attack: each runs in a sandbox as it is, and outside for the control. */
export function programPath(name: string): string {
  return fileURLToPath(new URL(`./programs/${name}`, import.meta.url));
}

export function readProgram(name: string): Promise<string> {
  return readFile(programPath(name), 'utf8');
}
