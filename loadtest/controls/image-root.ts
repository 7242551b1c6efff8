import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Commands, runCommand } from './commands.ts';
import type { ImageSource } from './peer.ts';

/** Directories that containers mount on; an image need not have them. */
const mountPoints = ['proc', 'dev', 'sys', 'tmp'];

/** An image's layers as one read-only tree. */
export interface ImageRoot {
  path: string;
  unmount(): Promise<void>;
}

/** Stacks the image's layers at `directory/root`, with directories to mount on. Needs root. */
export async function mountImageRoot(
  commands: Commands,
  image: ImageSource,
  directory: string,
): Promise<ImageRoot> {
  const path = join(directory, 'root');
  // An overlay without an upper layer needs two lower ones, and an image may have one.
  const top = join(directory, 'mount-points');
  await mkdir(path, { recursive: true });
  for (const name of mountPoints) await mkdir(join(top, name), { recursive: true });
  const lower = [top, ...(await image.layers())].join(':');
  await mountOverlay(commands, image, `ro,lowerdir=${lower}`, path);
  return { path, unmount: () => unmount(path) };
}

/** A writable root: the image's layers below, `upper` above. */
export async function mountWritableRoot(
  commands: Commands,
  image: ImageSource,
  layers: readonly string[],
  paths: { upper: string; work: string; root: string },
): Promise<void> {
  const { upper, work, root } = paths;
  const options = `lowerdir=${layers.join(':')},upperdir=${upper},workdir=${work}`;
  await mountOverlay(commands, image, options, root);
}

export async function unmount(path: string): Promise<void> {
  await runCommand('umount', [path]);
}

function mountOverlay(commands: Commands, image: ImageSource, options: string, path: string) {
  // Layers by relative names: all the options together have to fit on one page.
  // userxattr: our layers mark what they hide with user.* attributes, for sandboxes mount them in a user namespace.
  return commands.run('mount', ['-t', 'overlay', '-o', `userxattr,${options}`, 'overlay', path], {
    cwd: image.layersDir,
  });
}
