import { expect, test } from 'vitest';
import { composeFunctionImage, readFunctionImage } from '../../services/registry/function-image.ts';
import { describedImage, digestOf } from '../support/images.ts';

const base = describedImage('localhost/node:latest', {
  Env: ['PATH=/bin', 'A=base'],
  User: 'app',
  Labels: { maintainer: 'x' },
});
const settings = {
  runtime: 'node' as const,
  handler: 'index.handler',
  env: { B: '2', A: '1' },
  limits: { wallMs: 5, pids: 2 },
  codeLayer: { hex: 'c'.repeat(64), sizeBytes: 2048 },
};

test('a version is the base and one layer more, and its digests fit', () => {
  const { manifestJson, configJson, digest } = composeFunctionImage(base, settings);
  const [manifest, config] = [JSON.parse(manifestJson), JSON.parse(configJson)];
  expect(digest).toBe(digestOf(manifestJson));
  expect(manifest).toMatchObject({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { digest: digestOf(configJson), size: Buffer.byteLength(configJson) },
    layers: [
      JSON.parse(base.manifestJson).layers[0],
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest: `sha256:${settings.codeLayer.hex}`,
        size: 2048,
      },
    ],
  });
  expect(config).toMatchObject({
    architecture: 'amd64',
    os: 'linux',
    config: {
      Env: ['PATH=/bin', 'A=1', 'B=2'],
      User: 'app',
      Labels: {
        maintainer: 'x',
        'dev.oncebox.runtime': 'node',
        'dev.oncebox.handler': 'index.handler',
        'dev.oncebox.limits': '{"pids":2,"wallMs":5}',
      },
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${'a'.repeat(64)}`, `sha256:${settings.codeLayer.hex}`] },
  });
  expect(config.history, 'one entry for each layer').toHaveLength(2);
});

test('the same settings on the same image give the same digest, in whatever order they come', () => {
  const again = { ...settings, env: { A: '1', B: '2' }, limits: { pids: 2, wallMs: 5 } };
  expect(composeFunctionImage(base, again)).toEqual(composeFunctionImage(base, settings));
  const onOther = describedImage('localhost/node:latest', { User: 'other' });
  expect(composeFunctionImage(onOther, settings).digest).not.toBe(
    composeFunctionImage(base, settings).digest,
  );
});

test("Docker's names of layer types become OCI's: a manifest has one family only", () => {
  const docker = base.manifestJson.replace(
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
  );
  const { manifestJson } = composeFunctionImage({ ...base, manifestJson: docker }, settings);
  expect(JSON.parse(manifestJson).layers[0].mediaType).toBe('application/vnd.oci.image.layer.v1.tar+gzip');
});

test('what was composed is read back from the labels', () => {
  expect(readFunctionImage(composeFunctionImage(base, settings))).toEqual({
    runtime: 'node',
    handler: 'index.handler',
    limits: { wallMs: 5, pids: 2 },
    env: { PATH: '/bin', A: '1', B: '2' },
  });
});

test.each([
  ['no labels', {}],
  ['a runtime that is none', { 'dev.oncebox.runtime': 'cobol', 'dev.oncebox.handler': 'index.handler' }],
  ['no handler', { 'dev.oncebox.runtime': 'node' }],
  [
    'limits that are no JSON',
    {
      'dev.oncebox.runtime': 'node',
      'dev.oncebox.handler': 'index.handler',
      'dev.oncebox.limits': 'x',
    },
  ],
] as const)('an image with %s is no version', (_, labels) => {
  const image = describedImage('localhost/x:latest', { Labels: labels as Record<string, string> });
  expect(() => readFunctionImage(image)).toThrow(/is no function's version: its label dev\.oncebox\./);
});
