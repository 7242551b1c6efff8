import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';

const digestSchema = z.string().regex(/^sha256:[a-f0-9]{64}$/);
const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: digestSchema,
  size: z.number().int().min(0),
  annotations: z.record(z.string(), z.string()).optional(),
});
type Descriptor = z.infer<typeof descriptorSchema>;

const indexSchema = z.object({ schemaVersion: z.literal(2), manifests: z.array(descriptorSchema) });
const manifestSchema = z.object({ config: descriptorSchema, layers: z.array(descriptorSchema) });
const configSchema = z.object({ rootfs: z.object({ diff_ids: z.array(digestSchema) }) });

const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};
const referenceName = 'org.opencontainers.image.ref.name';

export interface ImageDescription {
  reference: string;
  /** Descriptors from `addLayerFile`, lowest first, as OCI orders them. */
  layers: readonly Descriptor[];
  architecture: string;
  env: readonly string[];
  workingDir: string;
}

/** The OCI image layout (image-spec, image-layout.md) in `dir`. One writer at a time: set-up holds a lock. */
export function openOciLayout(dir: string) {
  const blobPath = (digest: string) => join(dir, 'blobs', 'sha256', digestHex(digest));
  const readJson = async (digest: string) => JSON.parse(await readFile(blobPath(digest), 'utf8'));
  const readIndex = async () =>
    indexSchema.parse(JSON.parse(await readFile(join(dir, 'index.json'), 'utf8')));

  return {
    async init(): Promise<void> {
      await mkdir(join(dir, 'blobs', 'sha256'), { recursive: true });
      await replaceFile(join(dir, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    },

    /** Moves an uncompressed layer tar, on the same filesystem, to its blob; its digest is its diffID. */
    async addLayerFile(path: string): Promise<Descriptor> {
      const digest = `sha256:${await hashFile(path)}`;
      const { size } = await stat(path);
      await rename(path, blobPath(digest));
      return { mediaType: mediaTypes.layer, digest, size };
    },

    /** Writes config and manifest and points the reference at them. Returns the manifest's digest. */
    async addImage(description: ImageDescription): Promise<string> {
      const config = await addJson(mediaTypes.config, {
        architecture: description.architecture,
        os: 'linux',
        config: { Env: description.env, WorkingDir: description.workingDir },
        rootfs: { type: 'layers', diff_ids: description.layers.map((layer) => layer.digest) },
      });
      const manifest = await addJson(mediaTypes.manifest, {
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config,
        layers: description.layers,
      });
      await point(description.reference, manifest);
      return manifest.digest;
    },

    /** The manifest's digest and the diffIDs' hex, uppermost first. Rejects when there is no such image. */
    async read(reference: string): Promise<{ digest: string; layers: string[] }> {
      const { manifests } = await readIndex();
      const found = manifests.find(({ annotations }) => annotations?.[referenceName] === reference);
      if (!found) throw new Error(`no image named "${reference}" in ${dir}: run "npm run setup"`);
      const manifest = manifestSchema.parse(await readJson(found.digest));
      const config = configSchema.parse(await readJson(manifest.config.digest));
      return { digest: found.digest, layers: config.rootfs.diff_ids.map(digestHex).reverse() };
    },
  };

  async function addJson(mediaType: string, value: unknown): Promise<Descriptor> {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    await replaceFile(blobPath(digest), bytes);
    return { mediaType, digest, size: bytes.length };
  }

  async function point(reference: string, manifest: Descriptor): Promise<void> {
    const index = await readIndex().catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return { schemaVersion: 2 as const, manifests: [] as Descriptor[] };
      throw error;
    });
    const others = index.manifests.filter(({ annotations }) => annotations?.[referenceName] !== reference);
    const entry = { ...manifest, annotations: { [referenceName]: reference } };
    const manifests = [...others, entry];
    await replaceFile(
      join(dir, 'index.json'),
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }),
    );
  }
}

function digestHex(digest: string): string {
  return digest.slice('sha256:'.length);
}

/** A reader sees the old or the new content, never half of it. */
async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
