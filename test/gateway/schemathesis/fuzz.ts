import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pythonToolsDir } from '../../support/tools.ts';

export interface FuzzOptions {
  /** Of the gateway. */
  url: string;
  seed: number;
  /** Of all phases together; they go on until it is over. */
  maxSeconds: number;
  /** For one operation and phase. */
  maxExamples: number;
  /** All that the fuzzer prints; nothing is kept unless given. */
  onOutput?: (text: string) => void;
}

export interface FuzzResult {
  /** 0: nothing was found. */
  exitCode: number | null;
  output: string;
  /** Requests that were made up. */
  cases: number;
}

/** Asks the gateway, by its own document, for all that is right and much that is wrong; schemathesis judges the replies. */
export async function fuzz({
  url,
  seed,
  maxSeconds,
  maxExamples,
  onOutput,
}: FuzzOptions): Promise<FuzzResult> {
  const here = new URL('.', import.meta.url).pathname;
  // It leaves its own files where it runs.
  const cwd = await mkdtemp(join(tmpdir(), 'oncebox-fuzz-'));
  const child = spawn(
    'python3',
    [
      ...[
        '-m',
        'schemathesis.cli',
        '--config-file',
        join(here, 'schemathesis.toml'),
        'run',
        `${url}/openapi.json`,
      ],
      ...['--seed', `${seed}`, '--max-time', `${maxSeconds}`, '--max-examples', `${maxExamples}`],
      ...[
        '--continue-on-failure',
        '--no-color',
        '--generation-database',
        'none',
        '--request-timeout',
        '300',
        '--suppress-health-check',
        'all',
      ],
    ],
    {
      cwd,
      env: {
        PATH: process.env.PATH,
        PYTHONPATH: pythonToolsDir(),
        PYTHONUTF8: '1',
        SCHEMATHESIS_HOOKS: join(here, 'hooks.py'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      onOutput?.(text);
    });
  }
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  await rm(cwd, { recursive: true });
  return {
    exitCode,
    output,
    cases: Number(/([\d,]+) generated/.exec(output)?.[1]?.replaceAll(',', '') ?? 0),
  };
}
