import type { CallContext, Program } from '../../sdk/contract/program.ts';
import {
  archiveEnvironment,
  codeDir,
  functionArn,
  lambdaEnvironment,
  logNames,
} from './lambda-environment.ts';
import type { ResolvedFunction } from './registry.ts';

/** Docker's, for an image that sets none. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Call {
  /** JSON. */
  eventJson: string;
  /** The event is an HTTP request. */
  http?: boolean | undefined;
  /** Its version's number unless it says another name. */
  context: Omit<CallContext, 'functionVersion'> & { functionVersion?: string | undefined };
}

/** What a call of this version runs, and where. */
export function functionProgram(
  found: ResolvedFunction,
  { eventJson, http = false, context: given }: Call,
): { program: Program; workingDir?: string; user?: string } {
  const { name, version } = found;
  const invokedFunctionArn = given.invokedFunctionArn ?? functionArn(name, String(version));
  const named = { ...given, functionVersion: given.functionVersion ?? String(version) };
  const context = { ...named, invokedFunctionArn, ...logNames(named) };
  const { handler, programEnv: env, argv, args = [], workingDir } = found;
  if (handler !== undefined) {
    const ofLambda = archiveEnvironment(found, context);
    const place = ofLambda ? { ...ofLambda, workingDir: codeDir } : { env };
    return { program: { kind: 'handler', handler, eventJson, ...(http && { http }), context, ...place } };
  }
  if (argv === undefined) throw new Error(`version ${version} of "${name}" has nothing to run`);
  const program: Program = {
    kind: 'lambda',
    argv,
    env: { PATH: defaultPath, ...lambdaEnvironment(context, args, env) },
    eventJson,
    context,
  };
  // Docker's default user, and not one of the sandbox's own.
  const user = found.user ?? '';
  return { program, user, ...(workingDir !== undefined && { workingDir }) };
}
