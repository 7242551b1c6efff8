import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { expect, test } from 'vitest';
import { javascriptTools } from '../support/tools.ts';
import { usePlatform } from '../support/use-platform.ts';
import { repo, run, usePackedSdk } from './use-packed-sdk.ts';
import { usePage } from './use-page.ts';

const sdk = usePackedSdk();
const page = usePage();
const platform = usePlatform(() => ({
  ONCEBOX_CORS_ORIGINS: page.origin,
  ONCEBOX_DEFAULT_LIMITS: 'wallMs=60000',
}));
const { bun, deno } = javascriptTools();
const toured = {
  stdout: '42\n',
  result: 'hello Ada',
  streamed: '123',
  waitedFor: { status: 'ok', result: 'hello Grace' },
  cancelled: { status: 'cancelled' },
  refusal: 'function_not_found',
};

test('the package holds what users need and nothing else', async () => {
  const { stdout } = await run('tar', ['--list', '--file', sdk.tarball]);
  const files = stdout
    .trim()
    .split('\n')
    .map((path) => path.replace('package/', ''));
  expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']));
  const rest = files.filter((path) => !path.startsWith('dist/'));
  expect(rest.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
  expect(files.filter((path) => path.endsWith('.js'))).toEqual(['dist/cjs/index.js', 'dist/esm/index.js']);
});

test('nothing of Node is in it, and it depends on zod only', async () => {
  const read = (path: string) => readFile(join(sdk.project, 'node_modules/@oncebox/sdk', path), 'utf8');
  for (const path of ['dist/esm/index.js', 'dist/cjs/index.js']) {
    const code = await read(path);
    const imports = [...code.matchAll(/^import [^'"]* from "([^"]+)"|\brequire\("([^"]+)"\)/gm)].map(
      ([, imported, required]) => imported ?? required,
    );
    expect(new Set(imports)).toEqual(new Set(['zod']));
    expect(code).not.toMatch(/\b(Buffer|process|setImmediate|__dirname)\b[.(]/);
  }
  expect(Object.keys(JSON.parse(await read('package.json')).dependencies)).toEqual(['zod']);
});

test('publint finds nothing to say about it', async () => {
  const { messages, pkg } = await publint({ pkgDir: join(sdk.project, 'node_modules/@oncebox/sdk') });
  expect(messages.map((message) => formatMessage(message, pkg ?? {}))).toEqual([]);
});

test('its types are right for every way of resolving them, says "are the types wrong"', async () => {
  const attw = join(repo, 'node_modules/.bin/attw');
  const { stdout } = await run(attw, [sdk.tarball, '--format', 'json', '--no-definitely-typed']);
  const { analysis, problems } = JSON.parse(stdout);
  expect(analysis.packageName).toBe('@oncebox/sdk');
  expect(problems).toEqual({});
});

test.each([
  ['Node, as an ECMAScript module', [process.execPath, 'main.mjs']],
  ['Node, as CommonJS', [process.execPath, 'main.cjs']],
  ['Bun', [bun, 'run', 'main.mjs']],
  [
    'Deno',
    [deno, 'run', '--no-lock', '--cached-only', '--node-modules-dir=manual', '--allow-net', 'main.mjs'],
  ],
])('it runs and calls from %s', async (_, [program = '', ...args]) => {
  const { stdout, stderr } = await run(program, [...args, platform.platform.url], { cwd: sdk.project });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual(toured);
});

test.each([
  // Declarations of both kinds, in strict mode, and without the declarations of Node.
  ['nodenext', { types: [] }, ['main.mts', 'main.cts']],
  ['bundler', { module: 'preserve', types: ['node'], lib: ['ES2022'], skipLibCheck: true }, ['main.ts']],
])(
  'its types hold with moduleResolution %s, for a strict compiler',
  async (resolution, more, files) => {
    const options = {
      ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
      ...{
        skipDefaultLibCheck: true,
        noEmit: true,
        target: 'ES2022',
        lib: ['ES2022', 'DOM', 'DOM.Iterable'],
      },
      ...{ module: resolution, moduleResolution: resolution, ...more },
    };
    const config = join(sdk.project, `tsconfig.${resolution}.json`);
    await writeFile(config, JSON.stringify({ compilerOptions: options, files }));
    for (const file of files.filter((name) => name !== 'main.ts'))
      await copyFile(join(sdk.project, 'main.ts'), join(sdk.project, file));
    const compiler = join(repo, 'node_modules/.bin/tsc');
    const { stdout } = await run(compiler, ['--project', config], { cwd: sdk.project }).catch(
      (error) => error,
    );
    expect(stdout).toBe('');
  },
  600_000,
);

test('a page runs and calls where its origin may, and another cannot', async () => {
  const program = `
    import { createClient, OnceboxError } from '@oncebox/sdk';
    import { tour } from './tour.mjs';
    const client = createClient(${JSON.stringify(platform.platform.url)});
    tour(client, OnceboxError).then(report, (error) => report(error.name));`;
  const bundle = await bundleForBrowsers(program);
  expect(await page.run(page.origin, bundle)).toEqual(toured);
  expect(await page.run(page.otherOrigin, bundle)).toBe('TypeError');
});

async function bundleForBrowsers(program: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: sdk.project, sourcefile: 'program.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    absWorkingDir: sdk.project,
  });
  return outputFiles[0]?.text ?? '';
}
