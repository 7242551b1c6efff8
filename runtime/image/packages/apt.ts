import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageTask } from '../shared-task.ts';
import { StoreError } from '../store-error.ts';
import { readAptSources } from './apt-sources.ts';
import { createRun, type Run } from './run.ts';

/** The release that the base images are made of. */
const suite = 'bookworm';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const defaultSources = [
  `deb [signed-by=${keyring}] http://deb.debian.org/debian ${suite} main`,
  `deb [signed-by=${keyring}] http://deb.debian.org/debian ${suite}-updates main`,
  `deb [signed-by=${keyring}] http://deb.debian.org/debian-security ${suite}-security main`,
];

export interface FetchOptions extends ImageTask {
  /** An empty directory; all that apt knows and writes is in there. */
  directory: string;
  /** `name=version` of what the image below has. */
  installed: readonly string[];
  wanted: readonly string[];
  /** sources.list lines in the place of the machine's own. */
  sources?: readonly string[] | undefined;
}

export interface Archive {
  path: string;
  /** `name=version`. */
  package: string;
}

/**
 * Downloads packages and what they need beyond those that are installed, as an ordinary user, by an apt that knows nothing
 * of this machine's packages: it has the machine's mirrors and keys, and checks what it gets by their signatures. Resolves
 * with the archives, by name. Throws StoreError `packages_failed`.
 */
export async function fetchArchives(options: FetchOptions): Promise<Archive[]> {
  const { directory, installed, wanted, onEvent, signal } = options;
  const apt = await configure(options);
  try {
    onEvent({ type: 'step', step: 'resolve', subject: wanted.join(' ') });
    await apt('apt-get', ['update', '-qq', '--option', 'APT::Update::Error-Mode=any']);
    await writeFile(join(directory, 'status'), await statusOf(installed, apt));
    const install = ['install', '--yes', '-qq', ...wanted];
    const totalBytes = sizeOf(await apt('apt-get', [...install, '--print-uris']));
    onEvent({ type: 'step', step: 'download', subject: wanted.join(' ') });
    onEvent({ type: 'progress', doneBytes: 0, totalBytes });
    await apt('apt-get', [...install, '--download-only', '--option', 'APT::Status-Fd=3'], {
      onStatus(text) {
        const percent = [...text.matchAll(/^dlstatus:\d+:([\d.]+):/gm)].at(-1)?.[1];
        if (percent === undefined) return;
        onEvent({
          type: 'progress',
          doneBytes: Math.round((totalBytes * Number(percent)) / 100),
          totalBytes,
        });
      },
    });
    onEvent({ type: 'progress', doneBytes: totalBytes, totalBytes });
  } catch (error) {
    signal.throwIfAborted();
    throw failed(error);
  }
  return archivesIn(join(directory, 'cache/archives'));
}

/** Its directories, and a configuration that leaves out the machine's own but for how mirrors are reached. */
async function configure({ directory, sources, signal }: FetchOptions): Promise<Run> {
  for (const path of ['state/lists/partial', 'cache/archives/partial', 'etc/apt.conf.d', 'etc/preferences.d'])
    await mkdir(join(directory, path), { recursive: true });
  const machine = await readAptSources(suite);
  const lines = sources ?? (machine.length > 0 ? machine : defaultSources);
  await writeFile(join(directory, 'etc/sources.list'), `${lines.join('\n')}\n`);
  await writeFile(join(directory, 'status'), '');
  const { PATH = '/usr/bin:/bin' } = process.env;
  const settings = await createRun(directory, signal, { PATH })('apt-config', ['dump']).catch((error) => {
    throw failed(error);
  });
  const passedOn = settings
    .split('\n')
    .filter((line) => /^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date)\b.* "[^"]+";$/.test(line));
  const configuration = join(directory, 'apt.conf');
  await writeFile(configuration, [...settingsIn(directory), ...passedOn, ''].join('\n'));
  return createRun(directory, signal, { PATH, APT_CONFIG: configuration });
}

function settingsIn(directory: string): string[] {
  return [
    `Dir "${directory}";`,
    `Dir::State "state";`,
    `Dir::State::status "${directory}/status";`,
    `Dir::Cache "cache";`,
    `Dir::Etc "etc";`,
    'Dir::Etc::trusted "/etc/apt/trusted.gpg";',
    'Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";',
    'APT::Install-Recommends "false";',
    'APT::Install-Suggests "false";',
    'Acquire::Languages "none";',
    'Acquire::PDiffs "false";',
    'Acquire::Retries "2";',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";',
    'Debug::NoLocking "true";',
  ];
}

/**
 * What dpkg would have written of the packages that are there. Without their dependencies: the base image is put together
 * of less than Debian takes for granted, and what it lacks nothing there needs.
 */
async function statusOf(installed: readonly string[], apt: Run): Promise<string> {
  const versions = new Map(installed.map((text) => splitPackage(text)));
  // Virtual names and what may stand in for other architectures are as today's versions have them.
  const known = await apt('apt-cache', ['show', '--no-all-versions', ...versions.keys()]).catch(() => '');
  const fields = new Map(known.split(/\n\n+/).map((text) => [fieldOf(text, 'Package'), text]));
  return [...versions]
    .map(([name, version]) => {
      const text = fields.get(name) ?? '';
      const kept = ['Architecture', 'Multi-Arch', 'Provides'].map((field) => [field, fieldOf(text, field)]);
      const lines = [
        ['Package', name],
        ['Status', 'install ok installed'],
        ['Version', version],
        ...kept.filter(([, value]) => value !== undefined),
        ...(text === '' ? [['Architecture', 'all']] : []),
      ];
      return `${lines.map(([field, value]) => `${field}: ${value}\n`).join('')}\n`;
    })
    .join('');
}

function fieldOf(text: string, field: string): string | undefined {
  return new RegExp(`^${field}: (.*)$`, 'm').exec(text)?.[1];
}

function splitPackage(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Lines are `'http://…' file size SHA256:…`. */
function sizeOf(uris: string): number {
  return [...uris.matchAll(/^'\S+ \S+ (\d+)/gm)].reduce((sum, [, size]) => sum + Number(size), 0);
}

/** apt names archives `name_version_architecture.deb`, with the colon of an epoch as %3a. */
async function archivesIn(directory: string): Promise<Archive[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.deb')).sort();
  return names.map((name) => {
    const [title = '', version = ''] = name.split('_');
    return { path: join(directory, name), package: `${title}=${decodeURIComponent(version)}` };
  });
}

function failed(error: unknown): Error {
  const { message, code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT')
    return new StoreError('packages_failed', "languages are made of Debian's packages, and apt is not here", {
      cause: error,
    });
  const why = message.split('\n').filter((line) => /^\s*[EW]: /.test(line));
  const lines = (why.length > 0 ? why : message.split('\n').slice(0, 5)).map((line) => line.trim());
  return new StoreError('packages_failed', `cannot get Debian packages: ${lines.join('\n')}`, {
    cause: error,
  });
}

/** `name=version` of the packages that an image says it is made of. */
export const packagesLabel = 'dev.oncebox.debian-packages';
