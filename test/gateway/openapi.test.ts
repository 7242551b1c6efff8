import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { errorStatus } from '../../sdk/contract/error.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';
import { pythonToolsDir } from '../support/tools.ts';

const gateway = useGateway(useRedis(), { ONCEBOX_MAX_LIMITS: 'wallMs=5000' });

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: { allOf?: unknown[] } }> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, { properties?: Record<string, { properties: Record<string, object> }> }>;
  };
}

async function served(): Promise<Document> {
  const response = await gateway.app.request('/openapi.json');
  expect(response.headers.get('content-type')).toBe('application/json');
  return (await response.json()) as Document;
}

test('the document and the routes name the same operations', async () => {
  const { paths, openapi } = await served();
  const documented = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const routes = gateway.app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  expect(openapi).toBe('3.1.0');
  expect(documented.sort()).toEqual(routes.sort());
  expect(routes.length).toBeGreaterThan(20);
});

test('the document is valid OpenAPI 3.1, and so is every example in it', async () => {
  const document = await served();
  expect(await complaints(document)).toEqual([]);
});

test('what is wrong in a document or an example is found', async () => {
  const document = await served();
  const run = document.paths['/v1/run']?.post as unknown as Record<string, unknown>;
  const broken = structuredClone(document);
  (broken.paths['/v1/run'] as Record<string, unknown>).post = { ...run, responses: { 200: {} } };
  expect(await complaints(broken)).not.toEqual([]);
  const text = JSON.stringify(document).replaceAll(
    '"example":{"runtime":"node","code"',
    '"example":{"runtime":"nod","code"',
  );
  expect(await complaints(JSON.parse(text))).toEqual([expect.stringContaining('/v1/run')]);
});

test('every error reply names the codes of its status and no others', async () => {
  const { paths } = await served();
  for (const [path, operations] of Object.entries(paths)) {
    for (const { responses } of Object.values(operations)) {
      for (const [status, { content }] of Object.entries(responses).filter(([status]) => status >= '400')) {
        const text = JSON.stringify(content?.['application/json']?.schema);
        const codes = JSON.parse(
          /"enum":(\[[^\]]*\])/.exec(text)?.[1] ?? '[]',
        ) as (keyof typeof errorStatus)[];
        expect(codes, `${path} ${status}`).not.toEqual([]);
        for (const code of codes) expect(errorStatus[code], `${path} ${code}`).toBe(Number(status));
      }
    }
  }
});

test("the document's limits are those that this gateway allows", async () => {
  const { components } = await served();
  expect(components.schemas.RunCode?.properties?.limits?.properties.wallMs).toMatchObject({ maximum: 5000 });
});

/** What the validators of openapi-spec-validator and jsonschema have to say. */
async function complaints(document: Document): Promise<string[]> {
  const script = new URL('openapi/check-document.py', import.meta.url).pathname;
  const run = promisify(execFile)('python3', [script], {
    env: { PATH: process.env.PATH, PYTHONPATH: pythonToolsDir() },
  });
  run.child.stdin?.end(JSON.stringify(document));
  return JSON.parse((await run).stdout);
}
