import { describe, expect, test } from 'vitest';
import { makeImage, makeLayer } from './make-image.ts';
import type { TarEntry } from './make-tar.ts';
import { useStore } from './use-store.ts';

const etc: TarEntry = { path: 'etc/', type: 'Directory', mode: 0o755 };
const passwd =
  'root:x:0:0:root:/root:/bin/sh\n# a comment\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nbig:x:70000:1:::\n';
const group = 'root:x:0:\nann:x:1001:\nwheel:x:10:root,ann\nvideo:x:44:ann\n';

async function useImage(...layers: TarEntry[][]) {
  const { store } = await useStore();
  const made = makeImage(layers.map((entries) => makeLayer(entries)));
  const image = await store.addImage({
    manifestJson: made.manifest.toString(),
    configJson: made.config.toString(),
    blobs: made.blobs,
  });
  return (user: string) => store.userOf(image, user);
}

const debian = [etc, { path: 'etc/passwd', data: passwd }, { path: 'etc/group', data: group }];

describe('the user of an image', () => {
  test('is found by name or number, with the groups that its image gives it', async () => {
    const userOf = await useImage(debian);
    const ann = { uid: 1000, gid: 1001, groups: [10, 44], home: '/home/ann' };
    expect(await userOf('ann')).toEqual(ann);
    expect(await userOf('1000')).toEqual(ann);
    expect(await userOf('')).toEqual({ uid: 0, gid: 0, groups: [10], home: '/root' });
    expect(await userOf('ann:video')).toEqual({ ...ann, gid: 44, groups: [] });
    expect(await userOf('1000:5')).toEqual({ ...ann, gid: 5, groups: [] });
    expect(await userOf('5000')).toEqual({ uid: 5000, gid: 0, groups: [] });
    expect(await userOf('5000:wheel')).toEqual({ uid: 5000, gid: 10, groups: [] });
  });

  test('that the image has not, or whose number is too large, is refused', async () => {
    const userOf = await useImage(debian);
    for (const user of ['bob', 'ann:staff', 'big', '65536', '1:65536', '-1', '0x0']) {
      await expect(userOf(user), user).rejects.toMatchObject({ code: 'invalid_image' });
    }
    expect(await userOf('65535:65535')).toEqual({ uid: 65535, gid: 65535, groups: [] });
  });

  test('is read in the uppermost layer that has the file, unless it is deleted there', async () => {
    const upper = await useImage(debian, [etc, { path: 'etc/passwd', data: 'ann:x:7:7::/:\n' }]);
    expect(await upper('ann')).toEqual({ uid: 7, gid: 7, groups: [10, 44], home: '/' });
    const deleted = await useImage(debian, [etc, { path: 'etc/.wh.passwd' }]);
    await expect(deleted('ann')).rejects.toThrow('no user "ann"');
    const without = await useImage([{ path: 'bin', data: '' }]);
    expect(await without('12:34')).toEqual({ uid: 12, gid: 34, groups: [] });
    await expect(without('ann')).rejects.toThrow('no user "ann"');
  });

  test('is not read through links: a file of the host says nothing', async () => {
    const direct = await useImage([
      etc,
      { path: 'etc/passwd', type: 'SymbolicLink', linkpath: '/etc/passwd' },
    ]);
    await expect(direct('root')).rejects.toThrow('no user "root"');
    const parent = await useImage([{ path: 'etc', type: 'SymbolicLink', linkpath: '/etc' }]);
    await expect(parent('root')).rejects.toThrow('no user "root"');
  });
});
