import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { testToolsDir } from './tools.ts';

const exec = promisify(execFile);
const run = (file: string, args: readonly string[], cwd: string) =>
  exec(file, [...args], { cwd, maxBuffer: 2 ** 26 });

/** AWS's own clients of Lambda's Runtime API, as its registries have them. */
const packages = {
  client: {
    name: 'aws-lambda-ric@4.0.2',
    file: 'aws-lambda-ric-4.0.2.tgz',
    sha512: 'FE5Vskx7mYNnqAnWWJXUOsLp2VGgdsJsCoRLFTa8L4Yk0QVtArqR8q58yPA++QC1a73ZWJXBQ2AH31nIAv7NOQ==',
  },
  napi: {
    name: 'node-addon-api@8.5.0',
    file: 'node-addon-api-8.5.0.tgz',
    sha512: '/bRZty2mXUIFY/xU5HLvveNHlswNJej+RnxBjOMkidWfwZzgTbPG1E3K5TOxRLOR+5hX7bSofy8yf1hZevMS8A==',
  },
};
/** With what it needs. */
const wheels = {
  'awslambdaric==4.2.2': 'ea87f581768a7558b493a59ee9f4de6dcbc6444b888169afa01af71396ed731d',
  'simplejson==4.3.0': '06306ed92b3860802ad9dd7fe88f122a7360b01e3936b8a355d6d689bb2bb774',
  'snapshot-restore-py==1.0.0': '38f99e696793790f54658e71c68c7a8a40cea877c81232b5052383b1301aceba',
};
const curlConfig = join(import.meta.dirname, 'aws-lambda-ric/curl_config.h');
const napiHeaders = join(import.meta.dirname, '../../node_modules/node-api-headers/include');

/**
 * Directory of the npm package `aws-lambda-ric`, unmodified, with its native part. That is made here of the sources that the
 * package has inside (curl and aws-lambda-cpp): its own scripts take minutes for it, and CMake. Kept beside the test tools.
 */
export async function nodeClient(): Promise<string> {
  const recipe = [packages, await readFile(curlConfig, 'utf8'), await readFile(import.meta.filename, 'utf8')];
  return kept('aws-lambda-ric', recipe, async (scratch) => {
    const [client, napi] = await Promise.all([unpack(scratch, 'client'), unpack(scratch, 'napi')]);
    const [curl, cpp, none] = ['curl', 'cpp', 'none'].map((name) => join(scratch, name)) as [
      string,
      string,
      string,
    ];
    for (const [directory, archive] of [
      [curl, 'curl'],
      [cpp, 'aws-lambda-cpp'],
    ] as const) {
      await mkdir(directory);
      await run(
        'tar',
        ['-xJf', join(client, `deps/${archive}.tar.xz`), '-C', directory, '--exclude', '._*'],
        scratch,
      );
    }
    await copyFile(curlConfig, join(curl, 'lib/curl_config.h'));
    // Included, and nothing of them used: they are no part of the ABI that Node keeps.
    await mkdir(none);
    for (const header of ['uv.h', 'v8.h', 'node.h']) await writeFile(join(none, header), '');
    const { version } = JSON.parse(await readFile(join(client, 'package.json'), 'utf8')) as {
      version: string;
    };
    await writeFile(
      join(cpp, 'src/version.cpp'),
      `namespace aws { namespace lambda_runtime { char const* get_version() { return "${version}"; } } }`,
    );
    const lib = join(curl, 'lib');
    const sources = (await readdir(lib, { recursive: true })).filter((path) => path.endsWith('.c'));
    const half = Math.ceil(sources.length / 2);
    const options = [
      '-O0',
      '-w',
      '-fPIC',
      '-DHAVE_CONFIG_H',
      '-DBUILDING_LIBCURL',
      '-DCURL_STATICLIB',
      '-I.',
      '-I../include',
    ];
    const halves = [sources.slice(0, half), sources.slice(half)];
    await Promise.all(halves.map((some) => run('cc', [...options, '-c', ...some], lib)));
    const objects = (await readdir(lib)).filter((name) => name.endsWith('.o')).map((name) => join(lib, name));
    const includes = [none, napi, napiHeaders, join(cpp, 'include'), join(curl, 'include')].map(
      (path) => `-I${path}`,
    );
    const ofAddon = ['runtime.cpp', 'logging.cpp', 'version.cpp'].map((name) => join(cpp, 'src', name));
    await run(
      'clang++',
      [
        ...[
          '-O0',
          '-w',
          '-fPIC',
          '-std=c++17',
          '-shared',
          '-static-libstdc++',
          '-static-libgcc',
          '-fexceptions',
        ],
        ...['-DNODE_ADDON_API_CPP_EXCEPTIONS', '-DCURL_STATICLIB', ...includes],
        ...[
          '-o',
          join(client, 'rapid-client.node'),
          join(client, 'src/native/rapid-client.cc'),
          ...ofAddon,
          ...objects,
        ],
      ],
      scratch,
    );
    for (const part of ['deps', 'src']) await rm(join(client, part), { recursive: true });
    return client;
  });
}

/** Directory of the package `awslambdaric` from PyPI, for a PYTHONPATH. */
export function pythonClient(): Promise<string> {
  return kept('awslambdaric', wheels, async (scratch) => {
    const lines = Object.entries(wheels).map(([name, sha256]) => `${name} --hash=sha256:${sha256}`);
    await writeFile(join(scratch, 'list'), lines.join('\n'));
    const platform = ['--only-binary=:all:', '--platform', 'manylinux2014_x86_64', '--python-version', '311'];
    const options = ['--no-deps', '--require-hashes', '--target', join(scratch, 'root'), ...platform];
    await run('python3', ['-m', 'pip', 'install', '-q', ...options, '-r', join(scratch, 'list')], scratch);
    return join(scratch, 'root');
  });
}

/** What is made once for each recipe. */
async function kept(
  name: string,
  recipe: unknown,
  make: (scratch: string) => Promise<string>,
): Promise<string> {
  const key = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
  const directory = join(testToolsDir, `${name}-${key}`);
  if (existsSync(directory)) return directory;
  await mkdir(dirname(directory), { recursive: true });
  const scratch = await mkdtemp(join(testToolsDir, `${name}-making-`));
  try {
    await rename(await make(scratch), directory).catch((error: NodeJS.ErrnoException) => {
      // Another test file was quicker.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return directory;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function unpack(scratch: string, which: keyof typeof packages): Promise<string> {
  const { name, file, sha512 } = packages[which];
  await run('npm', ['pack', '--silent', '--pack-destination', scratch, name], tmpdir());
  const archive = join(scratch, file);
  const found = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64');
  if (found !== sha512)
    throw new Error(`${name} is not the package that was pinned: its SHA-512 is ${found}`);
  const directory = join(scratch, which);
  await mkdir(directory);
  await run('tar', ['-xzf', archive, '-C', directory, '--strip-components=1', '--no-same-owner'], scratch);
  return directory;
}
