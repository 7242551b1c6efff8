import { execFileSync } from 'node:child_process';
import { copyFile, cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

/**
 * Makes `sdk/dist`, what `npm pack` in `sdk` packs: one file for ECMAScript modules and one for CommonJS, each with
 * declarations of its own kind beside it, for TypeScript tells the kind of a declaration by where it lies.
 */
const repo = resolve(import.meta.dirname, '..');
const sdk = join(repo, 'sdk');
const dist = join(sdk, 'dist');

await rm(dist, { recursive: true, force: true });
for (const format of ['esm', 'cjs'] as const) {
  await build({
    entryPoints: [join(sdk, 'index.ts')],
    outfile: join(dist, format, 'index.js'),
    bundle: true,
    format,
    platform: 'neutral',
    target: 'es2022',
    external: ['zod'],
    logLevel: 'warning',
  });
}
declare(join(dist, 'esm'));
await nameOutputs(join(dist, 'esm'));
await cp(join(dist, 'esm'), join(dist, 'cjs'), {
  recursive: true,
  filter: (path) => !path.endsWith('.js'),
});
await writeFile(join(dist, 'cjs/package.json'), `${JSON.stringify({ type: 'commonjs' })}\n`);
// npm packs the licence that lies beside the package's own description.
await copyFile(join(repo, 'LICENSE'), join(sdk, 'LICENSE'));

function declare(outDir: string): void {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const options = ['--noEmit', 'false', '--emitDeclarationOnly', '--declaration', '--outDir', outDir];
  execFileSync(process.execPath, [compiler, '--project', sdk, ...options], { stdio: 'inherit' });
}

/** The compiler leaves `./client.ts` in declarations as it is; what is there is `./client.js`. */
async function nameOutputs(directory: string): Promise<void> {
  for (const name of await readdir(directory, { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const path = join(directory, name);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replaceAll(/(from |import\()(['"])(\.{1,2}\/[^'"]+)\.ts\2/g, '$1$2$3.js$2'));
  }
}
