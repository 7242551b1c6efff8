import { readFile, stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import type { LanguageInfo } from '../contract/language.ts';
import type { RunRequest } from '../contract/run-request.ts';
import { type RuntimeName, runtimeNameSchema } from '../contract/runtime-name.ts';
import { CliError } from './cli-error.ts';

export interface RunOptions {
  runtime?: string;
  language?: string;
  workdir?: string;
  user?: string;
  entrypoint?: string;
}

const runtimeOfExtension: Record<string, RuntimeName> = {
  '.js': 'node',
  '.cjs': 'node',
  '.mjs': 'node',
  '.py': 'python',
  '.sh': 'bash',
};

/**
 * What `run SUBJECT ARGS…` asks for: a program, where SUBJECT is a file that we or the platform know how to run, or has a language; with a runtime and an
 * image, the program is the first of ARGS; else the image's own command.
 */
export async function imageOrSnippet(
  subject: string,
  args: string[],
  { runtime: given, language: named, workdir, user, entrypoint }: RunOptions,
  languageOf: (file: string, given?: string) => Promise<LanguageInfo | undefined>,
): Promise<Omit<RunRequest, 'stdin'>> {
  const runtime = given === undefined ? undefined : runtimeOf(given);
  const ofFile = runtime ?? runtimeOfExtension[extname(subject)];
  const ownings = Object.entries({ workdir, user, entrypoint }).filter(([, value]) => value !== undefined);

  if (named !== undefined) {
    if (runtime !== undefined) throw new CliError('--language and --runtime cannot be given together', 125);
    refuse(ownings, 'goes with an image only, not with a program');
    // Read first: what cannot be read needs nothing installed.
    const code = await program(subject);
    const language = await languageOf(subject, named);
    return { ...inLanguage(code, language), args };
  }
  if (ofFile !== undefined && (await isFile(subject))) {
    refuse(ownings, 'goes with an image only, not with a program');
    return { runtime: ofFile, ...(await program(subject)), args };
  }
  if (runtime === undefined && (await isFile(subject))) {
    const language = await languageOf(subject);
    if (language !== undefined) {
      refuse(ownings, 'goes with an image only, not with a program');
      return { ...inLanguage(await program(subject), language), args };
    }
  }
  if (runtime !== undefined) {
    refuse(ownings, 'cannot be given together with --runtime');
    const [file, ...rest] = args;
    if (file === undefined)
      throw new CliError(
        `cannot run ${subject} with ${runtime}: no such file; after an image, a program is needed`,
        125,
      );
    return { image: subject, runtime, ...(await program(file)), args: rest };
  }
  return {
    image: subject,
    ...(args.length > 0 && { args }),
    ...(workdir !== undefined && { workdir }),
    ...(user !== undefined && { user }),
    ...(entrypoint !== undefined && { entrypoint: [entrypoint] }),
  };
}

function runtimeOf(text: string): RuntimeName {
  const parsed = runtimeNameSchema.safeParse(text);
  if (!parsed.success)
    throw new CliError(
      `cannot run with "${text}": --runtime is one of ${runtimeNameSchema.options.join(', ')}`,
      125,
    );
  return parsed.data;
}

function refuse(options: [string, unknown][], why: string): void {
  const [first] = options;
  if (first) throw new CliError(`--${first[0]} ${why}`, 125);
}

/** Under its own name, which its extension and its messages come from. */
async function program(path: string) {
  const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(
      `cannot read ${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`,
      125,
    );
  });
  const name = basename(path);
  return {
    files: [{ path: name, content: content.toString('base64'), encoding: 'base64' as const }],
    entry: name,
  };
}

/** Compilers go by extensions: a file whose own says nothing gets the language's usual name. */
function inLanguage(code: Awaited<ReturnType<typeof program>>, language: LanguageInfo | undefined) {
  if (language === undefined) return code;
  const { name, extensions, fileName } = language;
  if (extensions.includes(extname(code.entry))) return { language: name, ...code };
  return { language: name, files: code.files.map((file) => ({ ...file, path: fileName })), entry: fileName };
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
