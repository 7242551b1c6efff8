import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What runs as a process of its own, and the file in `build` that it becomes. */
const programs = {
  gateway: 'services/gateway/main.ts',
  worker: 'services/worker/main.ts',
  up: 'services/up/main.ts',
  oncebox: 'services/command.ts',
};

/**
 * Makes one JavaScript file of each program, its packages with it: a process starts several times as fast as when it
 * loads a thousand modules and compiles ours. `entries` maps names to sources, relative to `repo`. A file is replaced in one go; whoever runs
 * the old one has all of it.
 */
export async function bundle(repo, outDir, entries = programs) {
  // Not at the top: set-up is loaded before there is any package.
  const { build } = await import('esbuild');
  // Beside it, for the maps say where sources are from where they lie.
  const scratch = `${outDir}.${process.pid}`;
  await mkdir(outDir, { recursive: true });
  try {
    await build({
      absWorkingDir: repo,
      entryPoints: entries,
      outdir: scratch,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      // Files that trace back to ours: node reads them when an error is printed.
      sourcemap: 'linked',
      sourcesContent: false,
      // It looks for its native half beside itself.
      external: ['msgpackr-extract'],
      banner: { js: commonJs },
      logLevel: 'warning',
      plugins: [keepPaths],
    });
    for (const name of Object.keys(entries)) {
      for (const file of [`${name}.mjs.map`, `${name}.mjs`])
        await rename(join(scratch, file), join(outDir, file));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Packages in CommonJS ask for what ES modules have not. */
const commonJs = [
  "import { createRequire as makeRequire } from 'node:module';",
  "import { fileURLToPath as toPath } from 'node:url';",
  'const require = makeRequire(import.meta.url);',
  'const __filename = toPath(import.meta.url);',
  "const __dirname = toPath(new URL('.', import.meta.url));",
].join(' ');

/** Modules of ours find files beside themselves by their URL, so each keeps its own. */
const keepPaths = {
  name: 'keep paths',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      if (!source.includes('import.meta.')) return undefined;
      const contents = source
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)));
      return { contents, loader: 'ts' };
    });
  },
};
