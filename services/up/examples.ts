import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const directory = fileURLToPath(new URL('../../sdk/examples/', import.meta.url));

export const examples = [
  { name: 'hello-node', runtime: 'node', handler: 'index.handler' },
  { name: 'hello-cjs', runtime: 'node', handler: 'index.handler' },
  { name: 'hello-python', runtime: 'python', handler: 'index.handler' },
] as const;

type Example = (typeof examples)[number];

export interface SelfCheck {
  result: string;
  start: string;
  /** As the caller sees it, HTTP and all. */
  ms: number;
}

/** Deploys a function through the API, as any user would. Throws with the API's own words when it refuses. */
export async function deployExample(
  url: string,
  { name, runtime, handler }: Example,
  key?: string,
): Promise<void> {
  const root = join(directory, name);
  const paths = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  const files = await Promise.all(
    paths.map(async ({ name: path }) => ({ path, content: await readFile(join(root, path), 'utf8') })),
  );
  await request(`${url}/v1/functions/${name}`, 'PUT', { runtime, handler, files }, key);
}

export async function invokeExample(url: string, { name }: Example, key?: string): Promise<SelfCheck> {
  const startedAt = performance.now();
  const response = await request(`${url}/v1/functions/${name}/invoke`, 'POST', { name: 'oncebox' }, key);
  const result = await response.text();
  return {
    result,
    start: response.headers.get('oncebox-start') ?? 'unknown',
    ms: performance.now() - startedAt,
  };
}

async function request(url: string, method: string, body: unknown, key?: string): Promise<Response> {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...(key !== undefined && { 'x-api-key': key }) },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`cannot ${method} ${url}: ${response.status} ${await response.text()}`);
  return response;
}
