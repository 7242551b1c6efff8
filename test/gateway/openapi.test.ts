import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { errorStatus } from '../../sdk/contract/error.ts';
import { isLambdaPath } from '../../services/gateway/lambda/paths.ts';
import { triggerMethods } from '../../services/gateway/openapi/operations/http-trigger.ts';
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
  const routes = ownRoutes().map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  // A route of all methods has an operation for each of the usual ones.
  const ofAllMethods = gateway.app.routes
    .filter(({ method, path }) => method === 'ALL' && path.startsWith('/fn/'))
    .flatMap(({ path }) => triggerMethods.map((method) => ({ method: method.toUpperCase(), path })))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}').replace('*', '{path}')}`);
  expect(openapi).toBe('3.1.0');
  expect(documented.sort()).toEqual([...routes, ...ofAllMethods].sort());
  expect(ofAllMethods.length).toBe(2 * triggerMethods.length);
  expect(routes.length).toBeGreaterThan(20);
});

/** Without those that are Lambda's, which AWS describes. */
function ownRoutes() {
  return gateway.app.routes.filter(({ method, path }) => method !== 'ALL' && !isLambdaPath(path));
}

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
    '"value":{"runtime":"node","code"',
    '"value":{"runtime":"nod","code"',
  );
  expect(await complaints(JSON.parse(text))).toEqual([expect.stringContaining('/v1/run')]);
});

test('every error reply names the codes of its status and no others', async () => {
  const { paths } = await served();
  for (const [path, operations] of Object.entries(paths)) {
    for (const { responses } of Object.values(operations)) {
      for (const [status, { content }] of Object.entries(responses).filter(
        ([status]) => Number(status) >= 400,
      )) {
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

test("what a route's own code throws is documented for its operation", async () => {
  const { paths } = await served();
  const thrown = await codesByRoute();
  for (const [route, codes] of thrown) {
    const [method = '', path = ''] = route.split(' ');
    const { responses } = paths[path]?.[method] ?? paths[`/v1${path}`]?.[method] ?? { responses: {} };
    const documented = JSON.stringify(responses);
    const missing = [...codes].filter((code) => !documented.includes(`"${code}"`));
    expect(missing, route).toEqual([]);
  }
  // That it reads them at all.
  expect(thrown.size).toBe(ownRoutes().length);
  expect(thrown.get('post /run')).toContain('unsupported');
  expect(thrown.get('put /functions/{name}')).toContain('unsupported');
  expect(thrown.get('post /functions/{ref}/invoke')).toContain('body_too_large');
});

test("the document's limits are those that this gateway allows", async () => {
  const { components } = await served();
  expect(components.schemas.RunCode?.properties?.limits?.properties.wallMs).toMatchObject({ maximum: 5000 });
});

interface SourceFunction {
  file: string;
  text: string;
  isExported: boolean;
}

/**
 * The codes in the text of every route and of the gateway's functions that it names, and those name. What the queue and
 * the registry throw is not seen.
 */
async function codesByRoute(): Promise<Map<string, Set<string>>> {
  const functions = new Map<string, SourceFunction[]>();
  const routes: { route: string; file: string; text: string }[] = [];
  const root = new URL('../../services/gateway/', import.meta.url);
  for (const name of await readdir(root, { recursive: true })) {
    if (!name.endsWith('.ts') || /^(openapi|middleware)\//.test(name)) continue;
    const source = await readFile(new URL(name, root), 'utf8');
    // A function ends at the first line that is indented as its own is, unless it is on one line.
    const definition =
      /^( *)(export )?(?:(?:async )?function (\w+)|const (\w+) = (?:async )?(?=\(.*=>)).*(?:;|(?:\n(?:\1 .*)?)*\n\1[}\])].*(?:(?:\n(?:\1 .*)?)*\n\1}.*)?)$/gm;
    for (const start of source.matchAll(
      /^ *(?:export )?(?:(?:async )?function \w|const \w+ = (?:async )?\(.*=>)/gm,
    )) {
      definition.lastIndex = start.index;
      const [text = '', , exported, asFunction, asConst] = definition.exec(source) ?? [];
      const key = asFunction ?? asConst ?? '';
      functions.set(key, [...(functions.get(key) ?? []), { file: name, text, isExported: !!exported }]);
    }
    if (!name.startsWith('routes/')) continue;
    for (const part of source.split(/(?=\.(?:get|put|post|delete)\('\/)/).slice(1)) {
      const [, method, path = ''] = /^\.(\w+)\('([^']+)'/.exec(part) ?? [];
      const text = part.split(/^}/m)[0] ?? '';
      routes.push({ route: `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`, file: name, text });
    }
  }
  return new Map(routes.map(({ route, file, text }) => [route, codesIn(file, text, new Set())]));

  function codesIn(file: string, text: string, seen: Set<string>): Set<string> {
    const codes = new Set([...text.matchAll(/new PlatformError\(\s*'(\w+)'/g)].map(([, code = '']) => code));
    for (const [word] of text.matchAll(/(?<![.'\w])[a-z]\w+/g)) {
      // Only what has an upload comes there.
      if (seen.has(word) || word === 'uploadOf') continue;
      const known = functions.get(word) ?? [];
      const meant = known.find((one) => one.file === file) ?? known.find((one) => one.isExported);
      if (!meant) continue;
      seen.add(word);
      for (const code of codesIn(meant.file, meant.text, seen)) codes.add(code);
    }
    return codes;
  }
}

/** What the validators of openapi-spec-validator and jsonschema have to say. */
async function complaints(document: Document): Promise<string[]> {
  const script = new URL('openapi/check-document.py', import.meta.url).pathname;
  const run = promisify(execFile)('python3', [script], {
    env: { PATH: process.env.PATH, PYTHONPATH: pythonToolsDir() },
  });
  run.child.stdin?.end(JSON.stringify(document));
  return JSON.parse((await run).stdout);
}
