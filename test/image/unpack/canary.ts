import { lstat, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect } from 'vitest';
import { openLayerUnpacker, type UnpackLimits } from '../../../runtime/image/layer-unpacker.ts';
import { digestOf, treeOf, useUnpackedLayers } from '../../support/unpacked-layers.ts';
import { makeTar } from '../make-tar.ts';

/** Layers with canaries around them. The check counts what is outside of the layer, and that the next one is unpacked. */
export async function useCanary(limits?: Partial<UnpackLimits>) {
  const layers = await useUnpackedLayers(limits);
  await mkdir(join(layers.dir, 'canary'));
  await writeFile(join(layers.dir, 'canary', 'file'), 'alive');
  await writeFile(join(layers.layersDir, 'canary'), 'alive');
  const outside = async () => ({
    around: await treeOf(join(layers.dir, 'canary')),
    beside: await readdir(layers.dir),
    canary: await lstat(join(layers.layersDir, 'canary')),
    etc: (await readdir('/etc')).filter((name) => name.startsWith('oncebox')),
    root: await readdir('/'),
  });
  const before = await outside();
  const control = makeTar([{ path: 'control', data: 'x' }]);
  // Without the test's limits: one of them is of time.
  const unpacker = openLayerUnpacker({
    launcherSocket: layers.launcher.socket,
    layersDir: layers.layersDir,
  });
  return {
    ...layers,
    async nothingElseThan(names: readonly string[]) {
      expect(await outside()).toEqual(before);
      expect((await layers.names()).sort()).toEqual(['canary', ...names].sort());
      const request = { diffId: digestOf(control), chain: [], lowers: [] };
      const { name } = await unpacker.unpack(request, Readable.from([control]));
      await unpacker.remove(name);
      expect(await layers.names()).toHaveLength(names.length + 1);
    },
  };
}
