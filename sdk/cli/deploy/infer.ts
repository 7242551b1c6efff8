import { readFile } from 'node:fs/promises';
import { basename, join, posix, resolve } from 'node:path';
import { z } from 'zod';
import { functionNameSchema } from '../../contract/function.ts';
import { CliError } from '../cli-error.ts';

type Runtime = 'node' | 'python';

/** What of a package's own description we look at; whatever else it says is npm's. */
const packageSchema = z.object({
  name: z.string().optional().catch(undefined),
  main: z.string().optional().catch(undefined),
});

/** In the order in which they are looked for. */
const entryNames = {
  node: ['index', 'handler', 'main', 'app'],
  python: ['main', 'index', 'handler', 'app', 'lambda_function'],
};
const extensions = { node: ['.mjs', '.js', '.cjs'], python: ['.py'] };

/** The exports that an entry is called by, and how its text shows that it has them; the first that it has is taken. */
const exportsOf: Record<Runtime, readonly { name: string; pattern: RegExp }[]> = {
  node: [
    {
      name: 'handler',
      pattern:
        /export\s+(?:async\s+)?(?:function\s*\*?|const|let|var)\s+handler\b|exports\.handler\b|[{,]\s*handler\s*[,}:(]/,
    },
    { name: 'fetch', pattern: /export\s+(?:async\s+)?(?:function\s*\*?|const|let|var)\s+fetch\b/ },
    { name: 'default', pattern: /export\s+default\b/ },
  ],
  python: [
    {
      name: 'handler',
      pattern: /^(?:async\s+)?def\s+handler\b|^handler\s*=|^from\s.*\bimport\b.*\bhandler\b/m,
    },
    { name: 'lambda_handler', pattern: /^(?:async\s+)?def\s+lambda_handler\b/m },
    { name: 'app', pattern: /^app\s*=|^(?:async\s+)?def\s+app\b/m },
  ],
};

/** What a function's directory says of itself; `files` are those that are sent. */
export async function inferFunction(
  directory: string,
  files: readonly string[],
  given: { runtime?: Runtime | undefined; handler?: string | undefined; name?: string | undefined },
): Promise<{ name: string; runtime: Runtime; handler: string }> {
  const described = files.includes('package.json') ? await readPackage(directory) : {};
  const runtime = given.runtime ?? runtimeOf(files, given.handler);
  const handler = given.handler ?? (await handlerOf(directory, files, runtime, described.main));
  return { name: given.name ?? nameOf(directory, described.name), runtime, handler };
}

async function readPackage(directory: string): Promise<z.infer<typeof packageSchema>> {
  try {
    return packageSchema.parse(JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')));
  } catch (error) {
    throw new CliError(`cannot use ${join(directory, 'package.json')}: ${(error as Error).message}`);
  }
}

function runtimeOf(files: readonly string[], handler: string | undefined): Runtime {
  if (handler !== undefined) {
    const stem = handler.slice(0, handler.lastIndexOf('.'));
    if (files.includes(`${stem}.py`)) return 'python';
    if (extensions.node.some((extension) => files.includes(stem + extension))) return 'node';
  }
  if (files.includes('package.json')) return 'node';
  if (['requirements.txt', 'pyproject.toml'].some((file) => files.includes(file))) return 'python';
  const isThere = (runtime: Runtime) => entryOf(files, runtime) !== undefined;
  const [first, second] = (['node', 'python'] as const).filter(isThere);
  if (first !== undefined && second === undefined) return first;
  const found = first === undefined ? 'neither node nor python' : 'both node and python';
  const hint = files.some((file) => /^[^/]+\.tsx?$/.test(file)) ? '; TypeScript is compiled first' : '';
  throw new CliError(
    `cannot tell the runtime: it looks like ${found}; say it with --runtime and --handler${hint}`,
  );
}

async function handlerOf(
  directory: string,
  files: readonly string[],
  runtime: Runtime,
  main: string | undefined,
): Promise<string> {
  const entry = (runtime === 'node' && main !== undefined && mainOf(files, main)) || entryOf(files, runtime);
  if (entry === undefined) {
    const names = entryNames[runtime].map((name) => `${name}${extensions[runtime].at(0)}`).join(', ');
    throw new CliError(`cannot tell the handler: there is none of ${names}; say it with --handler`);
  }
  const text = await readFile(join(directory, entry), 'utf8');
  const found = exportsOf[runtime].find(({ pattern }) => pattern.test(text));
  if (found === undefined) {
    throw new CliError(
      `cannot tell the handler: ${entry} seems to export no "handler"; say which with --handler ${stemOf(entry)}.NAME`,
    );
  }
  return `${stemOf(entry)}.${found.name}`;
}

/** As Node looks it up: the file, the file with an extension, the directory's index. */
function mainOf(files: readonly string[], main: string): string | undefined {
  const path = posix.normalize(main).replace(/\/$/, '');
  const candidates = ['', ...extensions.node, ...extensions.node.map((extension) => `/index${extension}`)];
  return candidates
    .map((suffix) => path + suffix)
    .find((file) => extensions.node.includes(posix.extname(file)) && files.includes(file));
}

function entryOf(files: readonly string[], runtime: Runtime): string | undefined {
  return entryNames[runtime]
    .flatMap((name) => extensions[runtime].map((extension) => name + extension))
    .find((file) => files.includes(file));
}

const stemOf = (file: string) => file.slice(0, file.lastIndexOf('.'));

/** The package's name without its scope, else the directory's, in the characters that a function's may have. */
function nameOf(directory: string, packageName: string | undefined): string {
  return functionNameOf(packageName?.replace(/^@[^/]*\//, '') ?? basename(resolve(directory)));
}

/** Throws CliError where nothing is left of it. */
export function functionNameOf(given: string): string {
  const name = given
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replaceAll(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 63);
  if (functionNameSchema.safeParse(name).success) return name;
  throw new CliError(`cannot make a function's name of "${given}": say it with --name`);
}
