import type { Argument, Command, Option } from 'commander';
import type { CommandEntry } from '../command-list.ts';
import { createProgram } from '../program.ts';
import { type Io, Session } from '../session.ts';
import {
  argumentSources,
  type Candidate,
  optionSources,
  type ShellOffer,
  type Source,
} from './candidates.ts';
import { wordsOf } from './words.ts';

/** Whoever presses a key waits for it. */
const answerWithinMs = 1_500;

/**
 * `oncebox __complete`, which the shells' scripts call: writes what may stand at the end of the words that follow `--`, or of
 * the line that follows `--line`. Never fails: where there is nothing to say it says nothing.
 */
export async function complete(
  argv: readonly string[],
  io: Io,
  more: readonly CommandEntry[],
): Promise<number> {
  const [mode, ...rest] = argv;
  const words = mode === '--line' ? wordsOf(rest[0] ?? '').slice(1) : rest;
  const session = new Session(io);
  const lines = await candidateLines(session, words, more).catch(() => []);
  if (lines.length > 0) io.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

async function candidateLines(
  session: Session,
  words: readonly string[],
  more: readonly CommandEntry[],
): Promise<string[]> {
  const program = await createProgram(session, words, more);
  const current = words.at(-1) ?? '';
  const place = placeOf(program, words.slice(0, -1), current);
  const { candidates, offer } = await candidatesAt(session, place);
  return [
    ...candidates
      .filter(({ value }) => value.startsWith(current) && isPlain(value))
      .map(({ value, about = '' }) => `${value}\t${about.replaceAll(/\s+/g, ' ')}`),
    ...(offer === undefined ? [] : [`:${offer}`]),
  ];
}

/** Where in the grammar of a command line its end stands. */
interface Place {
  command: Command;
  current: string;
  /** The option whose value is being written. */
  option: Option | undefined;
  /** The argument that is being written, where it is one. */
  argument: Argument | undefined;
  /** No argument has been given to `command` yet. */
  isFirst: boolean;
  /** What follows is the program's own: no option of ours. */
  isForeign: boolean;
  /** Values of options that say where the platform is. */
  global: { url?: string; key?: string };
}

function placeOf(program: Command, before: readonly string[], current: string): Place {
  let command = program;
  let given = 0;
  let option: Option | undefined;
  let isForeign = false;
  const global: Place['global'] = {};
  for (const word of before) {
    if (option !== undefined) {
      if (option.long === '--url') global.url = word;
      if (option.long === '--key') global.key = word;
      option = undefined;
    } else if (!isForeign && word === '--') {
      isForeign = true;
    } else if (!isForeign && word.startsWith('-') && word !== '-') {
      const [name] = word.split('=');
      const found = command.options.find(({ long, short }) => long === name || short === name);
      // A value that goes with "=" is there already; one that may be left out is not waited for.
      if (found?.required && !word.includes('=')) option = found;
    } else {
      const below = given === 0 ? commandNamed(command, word) : undefined;
      if (below) command = below;
      else given += 1;
      // What follows the image of `run` is its own.
      if (below === undefined && command.name() === 'run') isForeign = true;
    }
  }
  const declared = command.registeredArguments;
  const argument = declared[given] ?? (declared.at(-1)?.variadic ? declared.at(-1) : undefined);
  return { command, current, option, argument, isFirst: given === 0, isForeign, global };
}

function commandNamed({ commands }: Command, word: string): Command | undefined {
  return commands.find((one) => one.name() === word || one.aliases().includes(word));
}

async function candidatesAt(
  session: Session,
  { command, current, option, argument, isFirst, isForeign, global }: Place,
): Promise<{ candidates: Candidate[]; offer?: ShellOffer | undefined }> {
  if (option !== undefined)
    return valuesOf(session, global, option.argChoices, optionSources[option.flags.replace(/^-\w, /, '')]);
  if (isForeign && !isFirst) return { candidates: [], offer: 'files' };
  if (current.startsWith('-') && !isForeign) return { candidates: optionsOf(command) };
  const below = isFirst
    ? command.commands.map((one) => ({ value: one.name(), about: one.description() }))
    : [];
  if (argument === undefined) return { candidates: below };
  const values = await valuesOf(session, global, argument.argChoices, argumentSources[argument.name()]);
  return { ...values, candidates: [...below, ...values.candidates] };
}

function optionsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, description }) =>
      long === undefined || long === null ? [] : [{ value: long, about: description }],
    );
}

async function valuesOf(
  session: Session,
  global: Place['global'],
  choices: readonly string[] | undefined,
  source: Source = {},
): Promise<{ candidates: Candidate[]; offer?: ShellOffer | undefined }> {
  const { offer } = source;
  if (choices !== undefined) return { candidates: choices.map((value) => ({ value })), offer };
  if (source.list === undefined) return { candidates: [], offer };
  await session.begin(global);
  const listed = source.list(session.client, { signal: AbortSignal.timeout(answerWithinMs) });
  return { candidates: await listed.catch(() => []), offer };
}

/** A line is a candidate, up to a tab; and what begins with ":" is for the script. */
function isPlain(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return !/^:|[\u0000-\u001f\u007f]/.test(value);
}
