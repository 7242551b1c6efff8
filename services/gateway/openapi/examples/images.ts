import type { Examples } from './example.ts';

const oci = 'application/vnd.oci.image';
const layer = 'sha256:72a5a5f2516f06703e9688aa641df0d90c534a1386ec3f2b09f95dc61c4468a6';
const motto = {
  reference: 'localhost/motto:latest',
  digest: 'sha256:4b5a692f7d0c8e4b1a96537f0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c',
  created: null,
  sizeBytes: 4096,
  sharedBytes: 0,
  uniqueBytes: 4096,
  layers: 1,
  sandboxes: 0,
};

export const imageExamples: Examples = {
  importImage: [
    {
      name: 'archive',
      summary: 'An archive, under a name',
      parameters: { reference: 'motto' },
      mediaType: 'application/x-tar',
      upload: 'motto.tar',
      status: 200,
      reply: motto,
    },
  ],
  buildImage: [
    {
      name: 'context',
      summary: 'A Dockerfile and what it copies',
      parameters: { reference: 'built' },
      mediaType: 'application/x-tar',
      upload: 'context.tar',
      status: 200,
      reply: {
        ...motto,
        reference: 'localhost/built:latest',
        digest: 'sha256:82ec13e472c42a1b9f69c99241bb7b6eb128e69a85ad0c2dcae8539d14608326',
        created: '1970-01-01T00:00:00Z',
      },
    },
  ],
  listImages: [
    {
      name: 'all',
      summary: 'The base images and one of yours',
      after: ['importImage/archive'],
      status: 200,
      reply: { images: [motto] },
    },
  ],
  inspectImage: [
    {
      name: 'image',
      summary: 'An image of one layer',
      after: ['importImage/archive'],
      parameters: { reference: 'motto' },
      status: 200,
      reply: {
        ...motto,
        references: ['localhost/motto:latest'],
        os: 'linux',
        architecture: 'amd64',
        config: {},
        layerDetails: [
          {
            diffId: layer,
            blobDigest: layer,
            mediaType: `${oci}.layer.v1.tar`,
            blobBytes: 10_240,
            sizeBytes: 4096,
          },
        ],
        manifest: {
          schemaVersion: 2,
          mediaType: `${oci}.manifest.v1+json`,
          config: {
            mediaType: `${oci}.config.v1+json`,
            digest: 'sha256:61f8bd1f895c5d2d419cee48be7cbabd9885dc86b050f21b55cc038cb55796e5',
            size: 208,
          },
          layers: [{ mediaType: `${oci}.layer.v1.tar`, digest: layer, size: 10_240 }],
        },
      },
    },
  ],
  getImageHistory: [
    {
      name: 'steps',
      summary: 'An image of one step',
      after: ['importImage/archive'],
      parameters: { reference: 'motto' },
      status: 200,
      reply: {
        history: [{ layer, sizeBytes: 4096, created: null, createdBy: 'writeOciArchive', comment: '' }],
      },
    },
  ],
  tagImage: [
    {
      name: 'name',
      summary: 'A second name',
      after: ['importImage/archive'],
      body: { source: 'motto', target: 'motto:old' },
      status: 201,
      reply: { ...motto, reference: 'localhost/motto:old' },
    },
  ],
  pushImage: [
    {
      name: 'registry',
      summary: 'To a registry without TLS',
      after: ['importImage/archive'],
      body: { source: 'motto', target: 'registry.example.com/motto:1', insecure: true },
      status: 200,
      reply: motto,
    },
  ],
  pullImage: [
    {
      name: 'registry',
      summary: 'From a registry without TLS',
      after: ['pushImage/registry'],
      body: { reference: 'registry.example.com/motto:1', insecure: true },
      status: 200,
      reply: { ...motto, reference: 'registry.example.com/motto:1' },
    },
  ],
  removeImage: [
    {
      name: 'name',
      summary: 'One name of several',
      after: ['tagImage/name'],
      parameters: { reference: 'motto:old' },
      status: 200,
      reply: { untagged: ['localhost/motto:old'], deleted: [], freedBytes: 0 },
    },
  ],
  getDiskUsage: [
    {
      name: 'all',
      summary: 'What all images take',
      status: 200,
      reply: {
        images: { count: 6, bytes: 12_296, reclaimableBytes: 3178 },
        layers: { count: 44, bytes: 222_699_520, reclaimableBytes: 655_360 },
        blobs: { count: 5, bytes: 216_220_271, reclaimableBytes: 2560 },
        sandboxes: { count: 10, bytes: 32_768, reclaimableBytes: 0 },
        freeBytes: 80_085_987_328,
      },
    },
  ],
  pruneImages: [
    {
      name: 'all',
      summary: 'What no image needs',
      status: 200,
      reply: { images: [], layers: [layer], blobs: [], freedBytes: 655_360 },
    },
  ],
};
