import type { CallContext } from '../../sdk/contract/program.ts';
import type { ResolvedFunction } from './registry.ts';

const bytesPerMebibyte = 1024 * 1024;

/** The label with Lambda's name of the runtime: of what was deployed as an archive by Lambda's API. */
export const runtimeLabel = 'aws.runtime';
/** The label with the handler as it was written, where the platform writes it otherwise. */
export const handlerLabel = 'aws.handler';

/** Where the code of archives is. */
export const codeDir = '/function';

/** What ARNs are of, where nobody says otherwise. */
const defaultRegion = 'us-east-1';
const defaultAccount = '000000000000';

/** `qualifier`: a version's number or an alias; without one the function as it is. */
export function functionArn(name: string, qualifier?: string): string {
  const arn = `arn:aws:lambda:${defaultRegion}:${defaultAccount}:function:${name}`;
  return qualifier === undefined ? arn : `${arn}:${qualifier}`;
}

/** Where Lambda says that logs go: names, no more. */
export function logNames({ functionName, functionVersion, invocationId }: CallContext) {
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '/');
  const stream = invocationId
    .replace(/^inv_|-/g, '')
    .slice(0, 32)
    .padStart(32, '0');
  return {
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: `${day}/[${functionVersion}]${stream}`,
  };
}

/**
 * The environment of a handler that was deployed as an archive by Lambda's API: what its version gives, below what Lambda itself
 * says. One zygote initialises for all calls of a version, so what differs between those is `callEnv`. Undefined for a
 * function that was deployed otherwise.
 */
export function archiveEnvironment(
  { name, version, handler = '', labels = {}, programEnv }: ResolvedFunction,
  context: CallContext,
): { env: Record<string, string>; callEnv: Record<string, string> } | undefined {
  const runtime = labels[runtimeLabel];
  if (runtime === undefined) return undefined;
  const { memoryBytes, logGroupName, functionVersion, logStreamName, invokedFunctionArn } = context;
  return {
    env: {
      TZ: ':UTC',
      LAMBDA_TASK_ROOT: codeDir,
      _HANDLER: labels[handlerLabel] ?? handler,
      ...programEnv,
      AWS_EXECUTION_ENV: `AWS_Lambda_${runtime}`,
      ...ofFunction({ functionName: name, memoryBytes, logGroupName }),
      AWS_LAMBDA_FUNCTION_VERSION: String(version),
      ...ofRegion(),
    },
    callEnv: {
      AWS_LAMBDA_FUNCTION_VERSION: functionVersion,
      AWS_LAMBDA_LOG_STREAM_NAME: logStreamName ?? '',
      ...ofRegion(invokedFunctionArn),
    },
  };
}

/**
 * The environment of a program that speaks Lambda's Runtime API, which runtime/native/runtime-api.c serves in its sandbox: what
 * the image and the version give, below what Lambda itself says.
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
 */
export function lambdaEnvironment(
  context: CallContext,
  args: readonly string[],
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const { functionVersion, logStreamName = '', invokedFunctionArn } = context;
  return {
    LANG: 'C.UTF-8',
    TZ: ':UTC',
    LAMBDA_TASK_ROOT: '/var/task',
    LAMBDA_RUNTIME_DIR: '/var/runtime',
    ...(args[0] !== undefined && { _HANDLER: args[0] }),
    ...given,
    AWS_LAMBDA_RUNTIME_API: '127.0.0.1:9001',
    ...ofFunction(context),
    AWS_LAMBDA_FUNCTION_VERSION: functionVersion,
    AWS_LAMBDA_LOG_STREAM_NAME: logStreamName,
    ...ofRegion(invokedFunctionArn),
  };
}

function ofFunction({
  functionName,
  memoryBytes = 0,
  logGroupName = '',
}: Pick<CallContext, 'functionName' | 'memoryBytes' | 'logGroupName'>): Record<string, string> {
  return {
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(Math.round(memoryBytes / bytesPerMebibyte)),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: logGroupName,
  };
}

/** Where the function is, as its caller sees it. */
function ofRegion(arn?: string): Record<string, string> {
  const region = arn?.split(':')[3] || defaultRegion;
  return { AWS_REGION: region, AWS_DEFAULT_REGION: region };
}
