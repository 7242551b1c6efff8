import { z } from 'zod';
import { imageConfigSchema } from '../../sdk/contract/image.ts';
import { StoreError } from './store-error.ts';

/* Of the OCI image spec (manifest.md, image-index.md, config.md), and Docker's older names for the same. */

const digestSchema = z.string().regex(/^sha256:[a-f0-9]{64}$/);

const platformSchema = z.object({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
});

const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: digestSchema,
  size: z.number().int().min(0),
  annotations: z.record(z.string(), z.string()).nullish(),
  platform: platformSchema.nullish(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

export const indexSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptorSchema),
});

export const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).max(256),
});
export type Manifest = z.infer<typeof manifestSchema>;

export const configSchema = z.object({
  architecture: z.string().default(''),
  os: z.string().default(''),
  variant: z.string().optional(),
  created: z.string().nullish(),
  config: imageConfigSchema.nullish(),
  rootfs: z.object({ diff_ids: z.array(digestSchema) }),
  history: z
    .array(
      z.object({
        created: z.string().nullish(),
        created_by: z.string().nullish(),
        comment: z.string().nullish(),
        empty_layer: z.boolean().nullish(),
      }),
    )
    .nullish(),
});
export type Config = z.infer<typeof configSchema>;

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};
/** Of the image layout: the name of the image that a descriptor in index.json stands for. */
export const referenceAnnotation = 'org.opencontainers.image.ref.name';

type Compression = 'none' | 'gzip' | 'zstd';
const compressions: Record<string, Compression> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
};

/** Throws StoreError `invalid_image` for a layer that is no tar we read: foreign, encrypted or of another artifact. */
export function compressionOf({ mediaType, digest }: Descriptor): Compression {
  const compression = compressions[mediaType];
  if (compression) return compression;
  throw new StoreError('invalid_image', `cannot read layer ${digest}: unsupported media type ${mediaType}`);
}

/** Throws StoreError `invalid_image` that names `subject`. */
export function parseJson<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Uint8Array | string,
  subject: string,
): z.output<Schema> {
  const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new StoreError('invalid_image', `cannot read ${subject}: it is not JSON`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') || 'it';
  throw new StoreError('invalid_image', `cannot read ${subject}: ${where}: ${issue?.message}`);
}

/** Throws StoreError `invalid_image` unless there is a diffID for each layer, and each layer can be read. */
export function checkLayers({ layers }: Manifest, { rootfs }: Config, subject: string): void {
  if (layers.length !== rootfs.diff_ids.length) {
    throw new StoreError(
      'invalid_image',
      `cannot use ${subject}: ${layers.length} layers, but ${rootfs.diff_ids.length} diffIDs in its configuration`,
    );
  }
  for (const layer of layers) compressionOf(layer);
}
