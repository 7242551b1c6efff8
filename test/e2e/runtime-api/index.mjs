// Handlers as one would write them for Lambda, called by the package aws-lambda-ric.
export const describe = async (event, context) => ({
  event,
  requestId: context.awsRequestId,
  functionName: context.functionName,
  functionVersion: context.functionVersion,
  arn: context.invokedFunctionArn,
  memory: context.memoryLimitInMB,
  remainingMs: context.getRemainingTimeInMillis(),
  clientContext: context.clientContext,
  taskRoot: process.env.LAMBDA_TASK_ROOT,
  region: process.env.AWS_REGION,
  greeting: process.env.GREETING,
});

export const bare = async (event) => event;

export const fails = async () => {
  class Unwell extends Error {
    name = 'Unwell';
  }
  throw new Unwell('not today');
};

export const streams = awslambda.streamifyResponse(async (event, stream) => {
  for (const piece of event.pieces) stream.write(piece);
  stream.end();
});

export const crashes = async ({ code, signal }) => {
  if (signal) process.kill(process.pid, signal);
  else process.exit(code);
  await new Promise(() => setInterval(() => {}, 1000));
};

export const never = () => new Promise(() => setInterval(() => {}, 1000));

export const hoards = async () => {
  for (const all = []; ; ) all.push(Buffer.alloc(16 * 1024 * 1024, 1));
};
