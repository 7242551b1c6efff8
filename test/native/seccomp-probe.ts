import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const native = resolve(import.meta.dirname, '../../runtime/native');
const program = join(native, 'build/seccomp-probe');

export type FilterName = 'sandbox' | 'zygote' | 'child' | 'build' | 'runtime' | 'init';

export async function buildSeccompProbe(): Promise<void> {
  await execute('make', ['-C', native, '-s', 'probe']);
}

/** What becomes of a call, as the filter's program says when it is run: `allow`, `kill`, `errno N`. */
export async function ask(
  filter: FilterName,
  number: number,
  ...values: (number | bigint)[]
): Promise<string> {
  const { stdout } = await execute(program, ['ask', filter, `${number}`, ...values.map(String)]);
  return stdout.trim();
}

/** For every number, with arguments of zero: of this architecture, of x32 and of a foreign one. */
export async function verdicts(filter: FilterName) {
  const { stdout } = await execute(program, ['verdicts', filter], { maxBuffer: 1 << 22 });
  const byKind = {
    own: new Map<number, string>(),
    x32: new Map<number, string>(),
    foreign: new Map<number, string>(),
  };
  for (const [, kind, number, verdict] of stdout.matchAll(/^(\w+) (\d+) (.+)$/gm))
    byKind[kind as keyof typeof byKind].set(Number(number), verdict as string);
  return byKind;
}

/** Names and numbers that the kernel's headers know. */
export async function systemCalls(): Promise<Map<string, number>> {
  const source = 'echo "#include <asm/unistd.h>" | cc -E -dM -';
  const { stdout } = await execute('sh', ['-c', source]);
  return new Map(
    [...stdout.matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map(([, name, number]) => [
      name as string,
      Number(number),
    ]),
  );
}

interface ProfileRow {
  kind: string;
  call: string;
  /** Of ANSWER, the name of its error. */
  answer: string | undefined;
}

export async function profileRows(): Promise<ProfileRow[]> {
  const text = await readFile(join(native, 'seccomp-profile.h'), 'utf8');
  const rows: ProfileRow[] = [];
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
  for (const [, kind, rest] of code.matchAll(
    /\b(ALLOW|REFUSE|ABSENT|ANSWER|BUILDERS|TRACERS|REFUSE_SANDBOX)\(([^)]*)\)/g,
  )) {
    const [call, answer] = (rest as string).split(', ');
    rows.push({ kind: kind as string, call: call as string, answer });
  }
  for (const [, kind, call] of code.matchAll(/\b(WHEN|ELSE)\([A-Z |]+, (?:ALLOWED|ERRNO\(\w+\)), (\w+)/g))
    rows.push({ kind: kind as string, call: call as string, answer: undefined });
  return rows;
}
