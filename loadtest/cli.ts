import { resolve } from 'node:path';
import { Argument, Command, CommanderError, Option } from 'commander';
import { compareFiles } from './compare.ts';
import { duration, httpUrl, positiveNumber, runtimeList, wholeNumber } from './option-values.ts';
import { type Output, showProgress } from './progress.ts';
import { formatTable } from './report/table.ts';
import { runScenarios } from './run.ts';
import { scenarios } from './scenarios.ts';
import type { Settings } from './settings.ts';
import { type LoadRuntime, loadRuntimes } from './workloads/snippets.ts';
import { writeReport } from './write-report.ts';

export interface Io {
  stdout: Output;
  stderr: Output;
  /** Aborted, everything that was started is ended. */
  signal: AbortSignal;
}

interface Options {
  url?: string;
  runtime: LoadRuntime[];
  duration?: number;
  rate?: number;
  concurrency?: number;
  seed: number;
  out: string;
  controls: boolean;
  quick: boolean;
}

/**
 * Runs one command line and resolves with its exit code: 0; 1 when an answer was wrong, a request failed or nothing could
 * be measured; 2 when the command line is wrong; 130 when interrupted.
 */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  let exitCode = 0;
  const program = createProgram(io, (code) => (exitCode = code));
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (io.signal.aborted) return 130;
    io.stderr.write(`loadtest: ${(error as Error).message}\n`);
    return 1;
  }
}

function createProgram(io: Io, end: (exitCode: number) => void): Command {
  const names = [...scenarios.map(({ name }) => name), 'all'];
  const list = scenarios.map(({ name, description }) => `  ${name.padEnd(9)} ${description}`).join('\n');
  const program = new Command('loadtest')
    .usage('[options] SCENARIO...')
    .description(
      'Measures oncebox: checks the answers first, then times them, and says how that compares to the floors and to other ways to a container on the same machine.',
    )
    .addArgument(new Argument('<scenario...>', 'what to measure').choices(names))
    .option('--url <address>', 'measure the oncebox that listens there, instead of one of its own', httpUrl)

    .addOption(
      new Option('--runtime <list>', 'runtimes, with commas')
        .argParser(runtimeList)
        .default([...loadRuntimes], loadRuntimes.join(',')),
    )
    .option('--duration <time>', 'how long each load lasts, such as 10s, 5m or 1h', duration)
    .option('--rate <number>', 'arrivals a second, for mixed and soak', positiveNumber)
    .option(
      '--concurrency <number>',
      'at most so many at once: callers, calls of a burst, sandboxes alive',
      wholeNumber(1, 10_000),
    )
    .option('--seed <number>', 'of everything that is random', wholeNumber(0, 2 ** 31 - 1), 1)
    .option('--out <directory>', 'where the reports go', resolve(import.meta.dirname, 'results'))
    .addOption(new Option('--no-controls', 'leave out docker, runc, bubblewrap and the plain child process'))
    .option('--quick', 'small counts: a first look', false)
    .addHelpText('after', `\nScenarios:\n${list}\n  all       all of them, one after another\n`)
    .action(async (chosen: string[], options: Options) => end(await measure(chosen, options, io)));
  program
    .command('compare')
    .description('says what has changed from one report to another')
    .argument('<before.json>')
    .argument('<after.json>')
    .action(async (before: string, after: string) => {
      io.stdout.write(await compareFiles(before, after));
    });
  for (const command of [program, ...program.commands]) {
    command
      .showHelpAfterError('("npm run loadtest -- --help" says more)')
      .exitOverride()
      .configureOutput({
        writeOut: (text) => io.stdout.write(text),
        writeErr: (text) => io.stderr.write(text),
        outputError: (text, write) => write(`loadtest: ${text.replace(/^error: /, '')}`),
      });
  }
  return program;
}

async function measure(chosen: readonly string[], options: Options, io: Io): Promise<number> {
  const { url, duration: durationMs, rate, concurrency, seed, out, controls, quick } = options;
  const settings: Settings = {
    ...{ url, durationMs, rate, concurrency, seed },
    runtimes: options.runtime,
    outDir: resolve(out),
    withControls: controls,
    isQuick: quick,
  };
  const wanted = scenarios.filter(({ name }) => chosen.includes('all') || chosen.includes(name));
  const progress = showProgress(io.stderr);
  try {
    const { report, isSound } = await runScenarios(wanted, settings, progress, io.signal);
    io.stdout.write(`\n${formatTable(report)}\n`);
    for (const file of await writeReport(report, settings.outDir)) io.stdout.write(`written to ${file}\n`);
    return isSound ? 0 : 1;
  } catch (error) {
    progress.end(false);
    throw error;
  }
}
