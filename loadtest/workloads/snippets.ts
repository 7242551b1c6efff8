import type { RunRequest } from '../../sdk/contract/run-request.ts';
import { readRun } from './reply-facts.ts';
import type { Workload } from './workload.ts';

export const loadRuntimes = ['node', 'python'] as const;
export type LoadRuntime = (typeof loadRuntimes)[number];

/** The least that shows that code ran. */
const least = {
  node: { code: 'console.log(1+1)', entry: 'index.js', stdout: '2\n' },
  python: { code: 'print(1+1)', entry: 'main.py', stdout: '2\n' },
  bash: { code: 'echo 2', entry: 'main.sh', stdout: '2\n' },
} as const;

/** Takes `ms` of wall-clock time, most of it asleep, as a program does that waits for others. */
const waiting = {
  node: (ms: number) => `setTimeout(() => console.log(1+1), ${ms})`,
  python: (ms: number) => `import time; time.sleep(${ms / 1000}); print(1+1)`,
  bash: (ms: number) => `sleep ${ms / 1000}; echo 2`,
};

export type SnippetRuntime = keyof typeof least;

/** `POST /v1/run` of a program that only prints. */
export function snippet(runtime: SnippetRuntime, name: string = runtime): Workload {
  return run(name, { runtime, code: least[runtime].code });
}

/** The same after `ms` milliseconds of waiting. */
export function waitingSnippet(runtime: SnippetRuntime, ms: number, name: string): Workload {
  return run(name, { runtime, code: waiting[runtime](ms) });
}

/** The program itself, for sandboxes without HTTP. */
export function leastProgram(runtime: LoadRuntime) {
  const { code, entry, stdout } = least[runtime];
  const files = [{ path: entry, content: code, encoding: 'utf8' as const }];
  return { program: { kind: 'snippet' as const, files, entry, args: [], env: {} }, stdout };
}

function run(name: string, request: RunRequest): Workload {
  return {
    name,
    request: {
      path: '/v1/run',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    },
    read: (reply) => readRun(reply, '2\n'),
  };
}
