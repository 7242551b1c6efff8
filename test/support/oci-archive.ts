import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { create } from 'tar';
import type { ImageConfig } from '../../sdk/contract/image.ts';

const architecture = process.arch === 'x64' ? 'amd64' : process.arch;

/** Writes an image of one layer, the tree below `root` owned by root, as a tar of an OCI layout. */
export async function writeOciArchive(
  path: string,
  { root, reference, config }: { root: string; reference: string; config: ImageConfig },
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const scratch = await mkdtemp(join(tmpdir(), 'oncebox-archive-'));
  // Another run's tests may write the same at the same time.
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    const blobs = join(scratch, 'blobs/sha256');
    await mkdir(blobs, { recursive: true });
    const addBlob = async (mediaType: string, content: object) => {
      const text = JSON.stringify(content);
      const hex = createHash('sha256').update(text).digest('hex');
      await writeFile(join(blobs, hex), text);
      return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
    };
    const layer = await addLayer(root, blobs);
    const oci = 'application/vnd.oci.image';
    const manifest = await addBlob(`${oci}.manifest.v1+json`, {
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: await addBlob(`${oci}.config.v1+json`, {
        architecture,
        os: 'linux',
        config,
        rootfs: { type: 'layers', diff_ids: [layer.digest] },
        history: [{ created_by: 'writeOciArchive' }],
      }),
      layers: [{ mediaType: `${oci}.layer.v1.tar`, ...layer }],
    });
    const annotations = { 'org.opencontainers.image.ref.name': reference };
    const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
    await writeFile(join(scratch, 'index.json'), JSON.stringify(index));
    await writeFile(join(scratch, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const files = { cwd: scratch, file: unfinished, portable: true };
    await create(files, ['oci-layout', 'index.json', 'blobs']);
    await rename(unfinished, path);
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await rm(unfinished, { force: true });
  }
}

/** GNU tar, as the base images use it: npm's takes the sticky bit from /tmp. */
async function addLayer(root: string, blobs: string): Promise<{ digest: string; size: number }> {
  const file = join(blobs, 'layer');
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=ustar'];
  await promisify(execFile)('tar', ['-cf', file, ...same, '-C', root, '.']);
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const hex = hash.digest('hex');
  await rename(file, join(blobs, hex));
  return { digest: `sha256:${hex}`, size: (await stat(join(blobs, hex))).size };
}
