import type { StoredImage } from '../image.ts';
import { configSchema, parseJson } from '../oci-schemas.ts';
import type { TarItem } from '../tar-stream.ts';
import { buildahName, storageItems } from './buildah-storage.ts';

export interface BuildPlan {
  dockerfile: string;
  args: Readonly<Record<string, string>>;
  target: string | undefined;
  /** Images the Dockerfile stands on, by the reference that it uses. */
  images: ReadonlyMap<string, StoredImage>;
  /** The context's tar, uncompressed. */
  context: { sizeBytes: number; stream: () => AsyncIterable<Uint8Array> };
}

/** The commands in the order they run, after what unpacks the input, which is the first. */
export const buildSteps = { input: 1, context: 2, tidy: 3, build: 4, export: 5, output: 6 } as const;

/** What a build finds under `/build`. The commands there are all that the confinement knows of buildah. */
export function* buildInput(plan: BuildPlan): Generator<TarItem> {
  for (const path of ['etc', 'etc/containers', 'var', 'var/tmp', 'run', 'tmp', 'context', ...layout]) {
    yield { path, type: 'Directory' };
  }
  for (const [path, content] of Object.entries(configuration)) yield file(path, content);
  yield file('commands', encodeCommands(commands(plan)));
  yield file('Dockerfile', plan.dockerfile);
  yield { path: 'storage', type: 'Directory' };
  yield* storageItems(named(plan.images));
  yield* writtenAlready(plan.images.values());
  yield { path: 'context.tar', type: 'File', size: plan.context.sizeBytes, stream: plan.context.stream };
}

/** Of a RUN, as in Docker but for those that the build as a whole has not. */
const runCapabilities = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'NET_BIND_SERVICE', 'SETFCAP'],
  ...['SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'],
];

const layout = ['out', 'out/blobs', 'out/blobs/sha256'];
const result = 'localhost/oncebox-build:latest';

/** No registry is there to be asked, and nobody but root is known. */
const configuration = {
  'etc/passwd': 'root:x:0:0:root:/build:/bin/sh\n',
  'etc/group': 'root:x:0:\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
  'etc/resolv.conf': '',
  'etc/containers/policy.json': '{"default":[{"type":"insecureAcceptAnything"}]}\n',
  'etc/containers/containers.conf': `[containers]\ndefault_capabilities = ${JSON.stringify(runCapabilities)}\n`,
  'etc/containers/registries.conf': 'unqualified-search-registries = []\nshort-name-mode = "disabled"\n',
};

function commands({ args, target }: BuildPlan): string[][] {
  const buildah = [
    '/usr/bin/env',
    // We are in a user namespace already; or it would look for newuidmap.
    ...['_CONTAINERS_USERNS_CONFIGURED=1', '/usr/bin/buildah', '--root', '/build/storage'],
    ...['--runroot', '/build/run/storage', '--storage-driver', 'overlay'],
  ];
  return [
    ['/bin/tar', '-x', '-p', '--no-same-owner', '-f', '/build/context.tar', '-C', '/build/context'],
    ['/bin/rm', '/build/context.tar'],
    [
      ...[...buildah, 'build', '--pull-never', '--isolation', 'chroot', '--http-proxy=false'],
      // The network of its namespace, in which there is only loopback; chroot isolation knows no other.
      ...['--network', 'host'],
      // A layer for each instruction, as Docker has it, and the same digests for the same content at any time.
      ...['--layers', '--timestamp', '0', '--identity-label=false'],
      // What OCI has no place for, such as SHELL, is kept from step to step; the export below leaves it out.
      ...['--format', 'docker'],
      ...(target === undefined ? [] : ['--target', target]),
      ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      ...['--file', '/build/Dockerfile', '--tag', result, '/build/context'],
    ],
    [...buildah, 'push', '--quiet', '--format', 'oci', result, 'oci:/build/out'],
  ];
}

/** As `request_read_command` in runtime/native/requests.c reads them. */
export function encodeCommands(list: readonly string[][]): string {
  return list.map((argv) => `${argv.map((argument) => `${argument}\0`).join('')}\0`).join('');
}

function named(images: ReadonlyMap<string, StoredImage>): Map<string, StoredImage> {
  return new Map([...images].map(([reference, image]) => [buildahName(reference), image]));
}

/**
 * Empty blobs in the place of the images' layers. Buildah asks whether a layer is at its target already, and writes
 * only those that are not.
 */
function writtenAlready(images: Iterable<StoredImage>): TarItem[] {
  const digests = new Set<string>();
  for (const { configJson, digest } of images) {
    const { rootfs } = parseJson(configSchema, configJson, `configuration of ${digest}`);
    for (const diffId of rootfs.diff_ids) digests.add(diffId.slice('sha256:'.length));
  }
  return [...digests].map((hex) => file(`out/blobs/sha256/${hex}`, ''));
}

function file(path: string, content: string): TarItem {
  return { path, type: 'File', data: Buffer.from(content) };
}
