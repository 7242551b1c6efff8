import { type Client, createClient, type Invocation, OnceboxError, type RunRequest } from '@oncebox/sdk';

const client: Client = createClient('http://127.0.0.1:8080');
const request: RunRequest = { runtime: 'python', code: 'print(1)', limits: { wallMs: 1000 } };
// @ts-expect-error: no such runtime
const wrong: RunRequest = { runtime: 'cobol', code: '' };

export async function main(): Promise<string> {
  const invocation: Invocation = await client.run(request);
  const { outcome } = invocation;
  if (outcome?.status === 'exited') return `${outcome.exitCode satisfies number}`;
  // @ts-expect-error: not every outcome has a code
  outcome?.exitCode;
  try {
    await client.run(wrong);
  } catch (error) {
    if (error instanceof OnceboxError && error.code === 'queue_full') return error.message;
  }
  return invocation.stdout;
}
