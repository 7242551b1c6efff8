import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Description, type Feature, featureOf } from './feature.ts';

const run = promisify(execFile);
/** Where the services look for programs: an ordinary user's PATH often lacks the last two. */
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const launcher = fileURLToPath(new URL('../../../runtime/native/build/oncebox-launcher', import.meta.url));

const fromDistribution = (name: string) => `apt-get install ${name}, or "npm run setup" as root`;
const tools: { args: string[]; description: Description }[] = [
  {
    args: ['redis-server', '--version'],
    description: {
      group: 'required',
      name: 'redis-server',
      purpose: 'queue, functions and records',
      without: 'oncebox does not start, unless ONCEBOX_REDIS_URL names a Redis elsewhere',
      remedy: fromDistribution('redis-server'),
    },
  },
  {
    args: ['setpriv', '--version'],
    description: {
      group: 'required',
      name: 'setpriv',
      purpose: 'Redis is started as an ordinary user',
      without: 'oncebox does not start, unless ONCEBOX_REDIS_URL names a Redis elsewhere',
      remedy: fromDistribution('util-linux'),
    },
  },
  {
    args: ['cc', '--version'],
    description: {
      group: 'required',
      name: 'cc',
      purpose: 'set-up builds the native part',
      without: 'set-up cannot build it',
      remedy: fromDistribution('gcc'),
    },
  },
  {
    args: ['make', '--version'],
    description: {
      group: 'required',
      name: 'make',
      purpose: 'set-up builds the native part',
      without: 'set-up cannot build it',
      remedy: fromDistribution('make'),
    },
  },
  {
    args: ['skopeo', '--version'],
    description: {
      group: 'better',
      name: 'skopeo',
      purpose: 'images come from registries and archives, and go there',
      without: 'pull, push and import fail',
      remedy: fromDistribution('skopeo'),
    },
  },
  {
    args: ['buildah', '--version'],
    description: {
      group: 'better',
      name: 'buildah',
      purpose: 'images are built from Dockerfiles',
      without: 'build fails',
      remedy: fromDistribution('buildah'),
    },
  },
  {
    args: ['zstd', '--version'],
    description: {
      group: 'better',
      name: 'zstd',
      purpose: 'layers may be compressed with it',
      without: 'images with such layers cannot be pulled or imported',
      remedy: fromDistribution('zstd'),
    },
  },
  {
    args: ['runsc', '--version'],
    description: {
      group: 'isolation',
      name: 'runsc',
      purpose: 'isolation "gvisor": programs meet a kernel in user space and not the host\'s',
      without: 'a request for isolation "gvisor" is refused',
      remedy: 'apt-get install runsc',
    },
  },
  {
    args: ['runc', '--version'],
    description: {
      group: 'isolation',
      name: 'runc',
      purpose: 'isolation "runc": the plain OCI runtime',
      without: 'a request for isolation "runc" is refused',
      remedy: 'apt-get install runc',
    },
  },
];

/** Programs that are started, and the interpreter that we run in. */
export async function lookAtTools(): Promise<Feature[]> {
  return [nodeVersion(), await nativePart(), ...(await Promise.all(tools.map(lookAtTool)))];
}

function nodeVersion(): Feature {
  const major = Number(process.versions.node.split('.')[0]);
  return featureOf(
    {
      group: 'required',
      name: 'node',
      purpose: 'gateway, worker and this command',
      without: 'oncebox does not start',
      remedy: 'Node 20 or later: https://nodejs.org/',
    },
    major >= 20 ? 'there' : 'missing',
    process.version,
  );
}

/** Started without arguments it says how it is used, once all of its libraries are found. */
async function nativePart(): Promise<Feature> {
  const description: Description = {
    group: 'required',
    name: 'native part',
    purpose: 'the launcher and what it starts',
    without: 'oncebox does not start',
    remedy: '"npm run setup", or make -C runtime/native; it needs the headers of libseccomp and libarchive',
  };
  try {
    await run(launcher, [], { timeout: 20_000 });
    return featureOf(description, 'missing', 'it does nothing');
  } catch (error) {
    const { code, stderr = '' } = error as NodeJS.ErrnoException & { stderr?: string };
    // Set-up builds it before the first start.
    if (code === 'ENOENT') return featureOf(description, 'weak', 'not built yet');
    if (stderr.includes('usage:')) return featureOf(description, 'there', 'built');
    return featureOf(description, 'missing', stderr.split('\n')[0] || (error as Error).message);
  }
}

async function lookAtTool({
  args: [file = '', ...args],
  description,
}: (typeof tools)[number]): Promise<Feature> {
  try {
    const { stdout, stderr } = await run(file, args, { env: { PATH: searchPath }, timeout: 20_000 });
    const first = (stdout || stderr).split('\n')[0] ?? '';
    const version = /\d+(\.\d+)+[^\s,)]*/.exec(first)?.[0] ?? first;
    return featureOf(description, 'there', version === '' ? 'there' : version);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return featureOf(description, 'missing', 'not found');
    return featureOf(description, 'missing', `does not run: ${(error as Error).message.split('\n')[0]}`);
  }
}
