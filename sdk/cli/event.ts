import { readFile } from 'node:fs/promises';
import { CliError } from './cli-error.ts';
import { readText } from './read-stdin.ts';
import type { Io } from './session.ts';

/** The event that `--data` says: JSON, `@file`, or `-` for standard input; `undefined` without it. */
export async function readEvent(data: string | undefined, io: Io): Promise<unknown> {
  if (data === undefined) return undefined;
  if (data === '-') return jsonOf(await readText(io), 'standard input');
  return data.startsWith('@') ? readEventFile(data.slice(1)) : jsonOf(data, '--data');
}

export async function readEventFile(path: string): Promise<unknown> {
  return jsonOf(await readOrExplain(path), path);
}

/** One event a line; `-` is standard input. Empty lines are none. */
export async function readEventLines(path: string, io: Io): Promise<unknown[]> {
  const content = path === '-' ? await readText(io) : await readOrExplain(path);
  return content
    .split('\n')
    .flatMap((line, index) =>
      line.trim() === ''
        ? []
        : [jsonOf(line, `line ${index + 1} of ${path === '-' ? 'standard input' : path}`)],
    );
}

async function readOrExplain(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`cannot read ${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`, 2);
  });
}

function jsonOf(source: string, where: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw new CliError(`cannot use ${where} as an event: it is not JSON: ${(error as Error).message}`, 2);
  }
}
