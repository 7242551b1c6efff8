import { CreateFunctionCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll } from 'vitest';
import type { usePlatform } from './use-platform.ts';
import { zipOf } from './zip.ts';

/** The unmodified client of AWS, for the tests of a file, and functions of archives that it makes. */
export function useLambda(running: ReturnType<typeof usePlatform>) {
  let lambda: LambdaClient;
  beforeAll(() => {
    lambda = new LambdaClient({
      endpoint: running.platform.url,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    });
  });
  afterAll(() => lambda?.destroy());

  return {
    get client(): LambdaClient {
      return lambda;
    },
    async create(FunctionName: string, files: Record<string, string>, options: object): Promise<void> {
      const Role = 'arn:aws:iam::000000000000:role/any';
      const Code = { ZipFile: zipOf(files) };
      await lambda.send(new CreateFunctionCommand({ FunctionName, Role, Timeout: 120, Code, ...options }));
    },
  };
}
