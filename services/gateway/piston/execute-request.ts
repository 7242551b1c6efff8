import { posix } from 'node:path';
import { z } from 'zod';
import type { LanguageInfo } from '../../../sdk/contract/language.ts';
import { type Limits, limitTable } from '../../../sdk/contract/limits.ts';
import type { SourceFile } from '../../../sdk/contract/program.ts';
import type { ParsedRunRequest, RunRequest } from '../../../sdk/contract/run-request.ts';
import { runRequestSchema } from '../../../sdk/contract/run-request.ts';
import { refuse } from './errors.ts';

/** What Piston has for who gives none, milliseconds; never above the platform's maxima. */
const defaultMs = { run: 3_000, compile: 10_000 };

type Stage = 'run' | 'compile';

/** What is wrong with a field is said in Piston's words, so none is checked here. */
const bodySchema = z.record(z.string(), z.unknown()).catch({});

export interface ExecuteOptions {
  maxima: Limits;
  /** The installed language of this name or alias and version, or undefined. */
  find: (language: string, version: string) => Promise<LanguageInfo | undefined>;
}

/** What to run, as `POST /v1/run` would be asked for it, and the language. */
export interface ExecuteRequest {
  language: LanguageInfo;
  run: ParsedRunRequest & { language: string };
}

/**
 * The request of `POST execute`, and of the websocket's `init`. Rejects with PlatformError `invalid_request` in Piston's words, and
 * in its order, as its clients know them (engineer-man/piston, api/src/api/v2.js).
 */
export async function parseExecute(
  value: unknown,
  { maxima, find }: ExecuteOptions,
): Promise<ExecuteRequest> {
  const body = bodySchema.parse(value);
  const name = requiredText(body.language, 'language');
  const version = requiredText(body.version, 'version');
  if (!Array.isArray(body.files)) refuse('files is required as an array');
  const files = (body.files as unknown[]).map(parseFile);
  const language = await find(name, version);
  if (!language) refuse(`${name}-${version} runtime is unknown`);
  const main = files.find(({ encoding }) => encoding === undefined || encoding === 'utf8');
  if (!main) refuse('files must include at least one utf8 encoded file');
  const limitsOf = stageLimits(body, maxima);
  const request: RunRequest = {
    language: language.name,
    ...layOut(files, main, language),
    args: parseArguments(body.args),
    stdin: parseStdin(body.stdin),
    limits: limitsOf.run,
    ...(language.compiled && { compileLimits: limitsOf.compile }),
  };
  // What Piston would stumble over later, such as a file that is to be a directory too.
  const run = runRequestSchema(maxima).parse(request);
  return { language, run: { ...run, language: language.name } };
}

interface GivenFile {
  name: string | undefined;
  content: string;
  encoding: string | undefined;
}

function parseFile(file: unknown, index: number): GivenFile {
  const { name, content, encoding } = (file ?? {}) as Record<string, unknown>;
  if (typeof content !== 'string') refuse(`files[${index}].content is required as a string`);
  if (typeof (name ?? '') !== 'string') refuse(`files[${index}].name must be a string`);
  return {
    name: (name as string | undefined) || undefined,
    content,
    // As there, a falsy one is none, and one that nobody knows is text.
    encoding: typeof encoding === 'string' && encoding !== '' ? encoding : undefined,
  };
}

/** Files by their paths, the last of those with the same one, and which of them is run. */
function layOut(given: readonly GivenFile[], main: GivenFile, language: LanguageInfo) {
  const files = new Map<string, SourceFile>();
  let entry = '';
  for (const [index, file] of given.entries()) {
    const path = file === main ? mainPath(file.name, language) : pathOf(file.name ?? `file${index}.code`);
    if (file === main) entry = path;
    files.set(path, { path, ...contentOf(file) });
  }
  return { files: [...files.values()], entry };
}

/** Compilers go by the extension, so a main file without one gets the language's, as Piston's packages see to. */
function mainPath(name: string | undefined, { fileName }: LanguageInfo): string {
  if (name === undefined) return fileName;
  const path = pathOf(name);
  return posix.extname(path) === '' ? path + posix.extname(fileName) : path;
}

/** Inside the working directory, wherever it begins. */
function pathOf(name: string): string {
  const path = posix.normalize(name).replace(/^\/+/, '');
  if (path === '..' || path.startsWith('../'))
    refuse(`file name "${name}" leads out of the working directory`);
  return path;
}

function contentOf({ content, encoding }: GivenFile): Pick<SourceFile, 'content' | 'encoding'> {
  if (encoding !== 'base64' && encoding !== 'hex') return { content, encoding: 'utf8' };
  // In whatever form it is that Node reads, without padding for one.
  return { content: Buffer.from(content, encoding).toString('base64'), encoding: 'base64' };
}

function parseArguments(args: unknown): string[] {
  if (args === undefined || args === null) return [];
  const isList = Array.isArray(args) && args.every((one) => typeof one === 'string');
  if (!isList) refuse('args must be an array of strings');
  return args as string[];
}

/** With a newline at its end, as there: programs read lines. */
function parseStdin(stdin: unknown): string {
  if (typeof (stdin ?? '') !== 'string') refuse('stdin must be a string');
  const text = (stdin ?? '') as string;
  return text.endsWith('\n') ? text : `${text}\n`;
}

type StageLimits = Partial<Pick<Limits, 'wallMs' | 'cpuMs' | 'memoryBytes'>>;

const constraints = [
  ['memory_limit', 'memoryBytes'],
  ['timeout', 'wallMs'],
  ['cpu_time', 'cpuMs'],
] as const;

function stageLimits(body: Record<string, unknown>, maxima: Limits): Record<Stage, StageLimits> {
  const limits: Record<Stage, StageLimits> = { run: {}, compile: {} };
  for (const [constraint, limit] of constraints) {
    for (const stage of ['compile', 'run'] as const) {
      const given = constraintOf(`${stage}_${constraint}`, body, maxima[limit]);
      const value = given ?? (limit === 'memoryBytes' ? undefined : defaultMs[stage]);
      if (value !== undefined)
        limits[stage][limit] = Math.min(Math.max(Math.floor(value), limitTable[limit].min), maxima[limit]);
    }
  }
  return limits;
}

/** Undefined where there is none: 0 and null are none too, and so is -1 for memory, "no limit". */
function constraintOf(name: string, body: Record<string, unknown>, max: number): number | undefined {
  const value = body[name];
  if (!value) return undefined;
  if (typeof value !== 'number') refuse(`If specified, ${name} must be a number`);
  if (name.endsWith('memory_limit') && value === -1) return undefined;
  if (value > max) refuse(`${name} cannot exceed the configured limit of ${max}`);
  if (value < 0) refuse(`${name} must be non-negative`);
  return value;
}

function requiredText(value: unknown, name: string): string {
  if (!value || typeof value !== 'string') refuse(`${name} is required as a string`);
  return value;
}
