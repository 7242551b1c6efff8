import { StoreError } from '../../runtime/image/store-error.ts';
import type { SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { commandOf, type Language } from '../languages/language.ts';
import type { MemoryCapacity } from './capacity.ts';
import type { NodeImage } from './node-images.ts';

const MiB = 1024 * 1024;
/** A compiler's and a program's together, generously: this says whether a language works, not what it takes. */
const testLimits = {
  ...defaultLimits(),
  wallMs: 120_000,
  cpuMs: 120_000,
  memoryBytes: 1024 * MiB,
  diskBytes: 512 * MiB,
  pids: 256,
};

export interface LanguageTester {
  source: SandboxSource;
  capacity: MemoryCapacity;
}

/**
 * Runs a language's own test in a sandbox on `image`, and resolves with the version that its program says it has. Throws
 * StoreError `build_failed`, with what was printed, where it does not what it should.
 */
export async function testLanguage(
  language: Language,
  image: NodeImage,
  { source, capacity }: LanguageTester,
  signal: AbortSignal,
): Promise<string> {
  const release = await capacity.acquire(Math.min(testLimits.memoryBytes, capacity.totalBytes), {
    ...(signal && { signal }),
  });
  try {
    const said = await run(commandLine(language.versionCommand), '');
    const version = versionIn(said.stdout + said.stderr, language.version);
    if (version === undefined) throw failed(`it does not say its version: ${said.text}`);
    const { stdin, stdout } = language.test;
    const tested = await run(testScript(language), stdin);
    if (tested.outcome !== 'ok' || tested.stdout !== stdout)
      throw failed(`its test printed ${JSON.stringify(tested.text)} and not ${JSON.stringify(stdout)}`);
    return version;
  } finally {
    release();
  }

  async function run(script: string, stdin: string) {
    const program: Program = {
      kind: 'command',
      argv: ['/bin/sh', '-c', script],
      env: { ...environment(image), ...language.env },
      files: Object.entries(language.test.files).map(([path, content]) => ({
        path,
        content,
        encoding: 'utf8',
      })),
    };
    const { sandbox } = await source.lease({ image, spec: scratchSpec(image.layers) });
    const kill = () => void sandbox.kill();
    signal.addEventListener('abort', kill);
    try {
      const report = await sandbox.run({ program, limits: testLimits, stdin: Buffer.from(stdin) });
      signal.throwIfAborted();
      const [out, err] = [report.stdout, report.stderr].map((bytes) => Buffer.from(bytes).toString());
      const outcome = outcomeOf(report, program, testLimits).status;
      const stdout = out ?? '';
      const stderr = err ?? '';
      return { outcome, stdout, stderr, text: `${stdout}${stderr.slice(-2000)} (${outcome})` };
    } finally {
      signal.removeEventListener('abort', kill);
      await sandbox.kill();
    }
  }

  function failed(reason: string): StoreError {
    return new StoreError('build_failed', `cannot keep the image of ${language.name}: ${reason}`);
  }
}

/** As every program has it that runs in a sandbox's own directory. */
function environment({ searchPath }: NodeImage): Record<string, string> {
  return {
    PATH: searchPath,
    ...{ HOME: '/work', USER: 'sandbox', LOGNAME: 'sandbox', LANG: 'C.UTF-8', TMPDIR: '/tmp' },
  };
}

function testScript({ compile, run, extensions, test }: Language): string {
  const files = Object.keys(test.files);
  const of = { entry: files[0] ?? '', files, extensions };
  const line = (argv: readonly string[]) => commandLine(commandOf(argv, of));
  return compile ? `${line(compile)} >&2 && exec ${line(run)}` : `exec ${line(run)}`;
}

function commandLine(argv: readonly string[]): string {
  return argv.map((argument) => `'${argument.replaceAll("'", `'\\''`)}'`).join(' ');
}

/** The expected one where that is among what was said, else the first that looks like one. */
export function versionIn(said: string, expected: string): string | undefined {
  const escaped = expected.replaceAll(/[.+]/g, '\\$&');
  if (new RegExp(`(?<![\\d.])${escaped}(?!\\d|\\.\\d)`).test(said)) return expected;
  return /(?<![\d.])\d+(?:\.\d+)+/.exec(said)?.[0];
}
