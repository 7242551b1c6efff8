import type { CallContext } from '../../sdk/contract/program.ts';

const bytesPerMebibyte = 1024 * 1024;

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
 * The environment of a program that speaks Lambda's Runtime API, which runtime/native/runtime-api.c serves in its sandbox: what
 * the image and the version give, below what Lambda itself says.
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
 */
export function lambdaEnvironment(
  context: CallContext,
  args: readonly string[],
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const { functionName, functionVersion, memoryBytes = 0, invokedFunctionArn } = context;
  const { logGroupName = '', logStreamName = '' } = context;
  const region = invokedFunctionArn?.split(':')[3] || defaultRegion;
  return {
    LANG: 'C.UTF-8',
    TZ: ':UTC',
    LAMBDA_TASK_ROOT: '/var/task',
    LAMBDA_RUNTIME_DIR: '/var/runtime',
    ...(args[0] !== undefined && { _HANDLER: args[0] }),
    ...given,
    AWS_LAMBDA_RUNTIME_API: '127.0.0.1:9001',
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_FUNCTION_VERSION: String(functionVersion),
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(Math.round(memoryBytes / bytesPerMebibyte)),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: logGroupName,
    AWS_LAMBDA_LOG_STREAM_NAME: logStreamName,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
  };
}
