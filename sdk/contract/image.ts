import { z } from 'zod';

const digestSchema = z.string().regex(/^sha256:[a-f0-9]{64}$/, 'must be sha256: and 64 hex digits');

/**
 * A name for an image, as Docker users write it: `[registry/]name[:tag][@sha256:…]`. Parsed and completed by the
 * store: without a registry `localhost/name` is looked up first, then `docker.io/library/name`; the tag is `latest`.
 */
export const imageReferenceSchema = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._\-/:@[\]]*$/, 'must look like "registry/name:tag" or "name@sha256:…"');

const registryAuthSchema = z.strictObject({ username: z.string().min(1), password: z.string() });

/** Body of `POST /v1/images`: pull from a registry. */
export const pullRequestSchema = z.strictObject({
  reference: imageReferenceSchema,
  auth: registryAuthSchema.optional(),
  /** Speak plain HTTP, or TLS without checking the certificate. */
  insecure: z.boolean().default(false),
});
export type PullRequest = z.input<typeof pullRequestSchema>;

/** Body of `POST /v1/images/push` and of `POST /v1/functions/:name/push`, where `source` is the function's version. */
export const pushRequestSchema = z.strictObject({
  /** What is pushed: a reference or digest in the store. */
  source: imageReferenceSchema,
  /** Where to: a full reference with registry. */
  target: imageReferenceSchema,
  auth: registryAuthSchema.optional(),
  insecure: z.boolean().default(false),
});
export type PushRequest = z.input<typeof pushRequestSchema>;

export const pushFunctionRequestSchema = pushRequestSchema.omit({ source: true }).extend({
  /** The version to push; the current one unless given. */
  version: z.number().int().min(1).optional(),
});
export type PushFunctionRequest = z.input<typeof pushFunctionRequestSchema>;

/**
 * Query of `POST /v1/images/import`, whose body is the archive: what `docker save` writes, or a tar of an OCI layout;
 * either may be gzipped.
 */
export const importQuerySchema = z.strictObject({
  /** The name to give it where the archive has none, or to choose one of several. */
  reference: imageReferenceSchema.optional(),
});

/** Query of `POST /v1/images/build`, whose body is the context as a tar, gzipped or not. */
export const buildQuerySchema = z.strictObject({
  reference: imageReferenceSchema,
  /** Path of the Dockerfile in the context. */
  dockerfile: z.string().min(1).max(1024).default('Dockerfile'),
  target: z.string().max(256).optional(),
  /** Build arguments as a JSON object of strings. */
  args: z
    .string()
    .default('{}')
    .transform((text, context) => {
      try {
        return z.record(z.string(), z.string()).parse(JSON.parse(text));
      } catch {
        context.addIssue({ code: 'custom', message: 'must be a JSON object of strings' });
        return z.NEVER;
      }
    }),
});

/** Body of `POST /v1/images/tag`. */
export const tagRequestSchema = z.strictObject({
  source: imageReferenceSchema,
  target: imageReferenceSchema,
});

/** Query of `GET /v1/images/inspect` and `GET /v1/images/history`. */
export const referenceQuerySchema = z.strictObject({ reference: imageReferenceSchema });

/** Query of `DELETE /v1/images`. */
export const removeQuerySchema = referenceQuerySchema.extend({
  /** Also while sandboxes stand on it: takes no new ones, and waits for those. */
  force: z
    .enum(['true', 'false', '1', '0'])
    .default('false')
    .transform((text) => text === 'true' || text === '1'),
});

/** An item of `GET /v1/images`. */
export const imageSummarySchema = z.object({
  /** Full name, such as `localhost/node:latest`; null for a dangling image, which has none any more. */
  reference: z.string().nullable(),
  /** Of the manifest. */
  digest: digestSchema,
  /** RFC 3339, from the image's configuration; null where that says nothing. */
  created: z.string().nullable(),
  /** Bytes on disk of all layers, unpacked. `sizeBytes = sharedBytes + uniqueBytes`. */
  sizeBytes: z.number(),
  /** Bytes of layers that another image in the store has too. */
  sharedBytes: z.number(),
  uniqueBytes: z.number(),
  layers: z.number().int(),
  /** Sandboxes that stand on it now, parked ones included. */
  sandboxes: z.number().int(),
});
export type ImageSummary = z.infer<typeof imageSummarySchema>;
export const imageListSchema = z.object({ images: z.array(imageSummarySchema) });

/** An item of `GET /v1/images/history`: newest first, as `docker history` has it. */
const historyEntrySchema = z.object({
  /** diffID, or null for a step that made no layer. */
  layer: digestSchema.nullable(),
  created: z.string().nullable(),
  createdBy: z.string(),
  comment: z.string(),
  /** Bytes on disk, unpacked; 0 for a step without a layer. */
  sizeBytes: z.number(),
});
export const imageHistorySchema = z.object({ history: z.array(historyEntrySchema) });
export type HistoryEntry = z.infer<typeof historyEntrySchema>;

/** The part of an image's configuration that a run honours. Fields are named as in the OCI image spec. */
export const imageConfigSchema = z.object({
  User: z.string().nullish(),
  Env: z.array(z.string()).nullish(),
  Entrypoint: z.array(z.string()).nullish(),
  Cmd: z.array(z.string()).nullish(),
  WorkingDir: z.string().nullish(),
  Labels: z.record(z.string(), z.string()).nullish(),
});
export type ImageConfig = z.infer<typeof imageConfigSchema>;

/** Reply of `GET /v1/images/inspect`. */
export const imageDetailSchema = imageSummarySchema.extend({
  /** Every name that points at it. */
  references: z.array(z.string()),
  os: z.string(),
  architecture: z.string(),
  config: imageConfigSchema,
  /** Lowest first, as OCI orders them. */
  layerDetails: z.array(
    z.object({
      diffId: digestSchema,
      blobDigest: digestSchema,
      mediaType: z.string(),
      /** As it travels. */
      blobBytes: z.number(),
      /** On disk, unpacked. */
      sizeBytes: z.number(),
    }),
  ),
  /** The manifest as it is in the store. */
  manifest: z.unknown(),
});
export type ImageDetail = z.infer<typeof imageDetailSchema>;

/** Reply of `DELETE /v1/images`. */
export const imageRemovalSchema = z.object({
  untagged: z.array(z.string()),
  deleted: z.array(digestSchema),
  freedBytes: z.number(),
});
export type ImageRemoval = z.infer<typeof imageRemovalSchema>;

/** Reply of `POST /v1/images/prune`. */
export const pruneResultSchema = z.object({
  /** Dangling images, by digest. */
  images: z.array(digestSchema),
  /** Unpacked layers that no image refers to any more, by diffID. */
  layers: z.array(digestSchema),
  /** Blobs that no image refers to any more. */
  blobs: z.array(digestSchema),
  freedBytes: z.number(),
});
export type PruneResult = z.infer<typeof pruneResultSchema>;

const usageLineSchema = z.object({
  count: z.number().int(),
  bytes: z.number(),
  reclaimableBytes: z.number(),
});
/** Reply of `GET /v1/images/df`. */
export const diskUsageSchema = z.object({
  images: usageLineSchema.describe('manifests and configurations'),
  layers: usageLineSchema.describe('unpacked layers'),
  blobs: usageLineSchema.describe('layers as they travelled, compressed'),
  /** What sandboxes have written: memory, not disk. */
  sandboxes: usageLineSchema,
  /** Of the filesystem of the store. */
  freeBytes: z.number(),
});
export type DiskUsage = z.infer<typeof diskUsageSchema>;

/** What every task that takes long says while it runs. */
export const taskEvents = [
  /** A new step; counts begin anew. */
  z.object({
    type: z.literal('step'),
    step: z.enum([
      ...['resolve', 'upload', 'download', 'build', 'verify', 'unpack', 'push'],
      /** Of a language: the packages' own set-up, and its test program. */
      ...['setup', 'test'],
    ] as const),
    /** What it works at, such as a layer's diffID. */
    subject: z.string(),
  }),
  z.object({
    type: z.literal('progress'),
    doneBytes: z.number(),
    /** Null where nobody knows. */
    totalBytes: z.number().nullable(),
  }),
  /** A line that the builder printed. */
  z.object({ type: z.literal('output'), line: z.string() }),
  z.object({ type: z.literal('error'), error: z.object({ code: z.string(), message: z.string() }) }),
] as const;
export type TaskEvent = z.infer<(typeof taskEvents)[number]>;

/**
 * A line of the reply of pull, push, import and build when the request says `Accept: application/x-ndjson`. The last
 * one is `done` or `error`. Without that header the reply is the `done` event's image, once all is over.
 */
export const imageEventSchema = z.discriminatedUnion('type', [
  ...taskEvents,
  z.object({ type: z.literal('done'), image: imageSummarySchema }),
]);
export type ImageEvent = z.infer<typeof imageEventSchema>;

/** What an invocation did to its writable layer: an item of the record's `changes`. */
export const changeSchema = z.object({
  kind: z.enum(['added', 'changed', 'deleted']),
  /** Absolute, in the sandbox. */
  path: z.string(),
  type: z.enum(['file', 'directory', 'symlink', 'other']),
  /** Of a regular file; 0 otherwise. */
  sizeBytes: z.number(),
  /** SHA-256 of a regular file's content, hex. */
  sha256: z.string().optional(),
});
export type Change = z.infer<typeof changeSchema>;
