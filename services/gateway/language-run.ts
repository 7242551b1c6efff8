import type { Command } from '../../sdk/contract/program.ts';
import type { ParsedRunRequest } from '../../sdk/contract/run-request.ts';
import { commandOf, type Language } from '../languages/language.ts';
import type { InvocationRequest } from '../queue/invocation-queue.ts';
import { envOf } from '../registry/function-image.ts';
import type { GatewayDeps } from './deps.ts';
import { resolveLimits } from './resolve-limits.ts';

const MiB = 1024 * 1024;

/** What a compiler gets where neither the request nor the language says otherwise: more than most programs need. */
const compileLimitDefaults = {
  wallMs: 60_000,
  cpuMs: 60_000,
  memoryBytes: 512 * MiB,
  diskBytes: 128 * MiB,
  pids: 128,
} as const;

/** Of a request, what says which program it is; `code` is stored under the language's usual name. */
export type LanguageRun = { language: string } & Partial<
  Pick<ParsedRunRequest, 'version' | 'code' | 'files' | 'entry' | 'args' | 'env' | 'limits' | 'compileLimits'>
>;

/** What of an invocation the language decides. */
export type RunnableLanguage = Required<Pick<InvocationRequest, 'language' | 'program' | 'limits'>> &
  Pick<InvocationRequest, 'runtime' | 'image' | 'compile'>;

/**
 * Makes of a language what a worker needs to compile and run a program: it knows no languages. Throws PlatformError
 * `language_not_found`, or `language_not_installed` where no node has its image.
 */
export async function languageRun(
  deps: Pick<GatewayDeps, 'languages'> & { config: LimitConfig },
  request: LanguageRun,
): Promise<RunnableLanguage> {
  const { language, version, image } = await deps.languages.find(request.language, request.version);
  const { code = '', files = [{ path: language.fileName, content: code, encoding: 'utf8' as const }] } =
    request;
  const { args = [], env = {}, entry = files[0]?.path ?? '' } = request;
  const limits = limitsOf(deps.config, language, request);
  const common = { language: { name: language.name, version }, limits: limits.run };
  if (runsAsSnippet(language)) {
    const program = { kind: 'snippet' as const, files, entry, args, env: { ...language.env, ...env } };
    return { ...common, runtime: language.base, program };
  }

  const { reference, digest, config } = image;
  const paths = files.map(({ path }) => path);
  const command = (argv: readonly string[], given: Command['files']): Command => ({
    kind: 'command',
    argv: commandOf(argv, { entry, files: paths, extensions: language.extensions }),
    env: { ...envOf(config.Env), ...language.env, ...env },
    files: given,
  });
  const { compile, run } = language;
  // With a compiler, they are in what that leaves.
  const program = command(run, compile ? [] : files);
  return {
    ...common,
    image: { reference, digest },
    ...(compile && { compile: { program: command(compile, files), limits: limits.compile } }),
    program: { ...program, argv: [...program.argv, ...args] },
  };
}

type LimitConfig = Pick<GatewayDeps['config'], 'ONCEBOX_DEFAULT_LIMITS' | 'ONCEBOX_MAX_LIMITS'>;

/** Those of the base images' own interpreters: they are forked from a zygote, which is quicker than to start one. */
function runsAsSnippet({ packages, compile }: Language): boolean {
  return packages.length === 0 && compile === undefined;
}

function limitsOf(
  { ONCEBOX_DEFAULT_LIMITS: defaults, ONCEBOX_MAX_LIMITS: maxima }: LimitConfig,
  { limits: own }: Language,
  { limits = {}, compileLimits = {} }: LanguageRun,
) {
  const ofCompiler = { ...defaults, ...compileLimitDefaults, ...own?.compile };
  return {
    compile: resolveLimits(compileLimits, { defaults: ofCompiler, maxima }),
    run: resolveLimits(limits, { defaults: { ...defaults, ...own?.run }, maxima }),
  };
}
