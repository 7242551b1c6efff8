import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { runCommand } from './commands.ts';
import { mountWritableRoot, unmount } from './image-root.ts';
import type { Peer, PeerOptions } from './peer.ts';
import { probeCommand } from './presence.ts';

/** What `spec` writes, as far as we change it; the rest stays as the runtime wants it. */
const bundleSchema = z.looseObject({
  process: z.looseObject({}),
  root: z.looseObject({}),
  linux: z.looseObject({}),
});
type Bundle = z.infer<typeof bundleSchema>;

/**
 * An OCI runtime by itself, `run` on a bundle of its own for each container: the configuration that the runtime's `spec`
 * writes (every namespace but user, three capabilities, no network but a loopback), a cgroup, and a
 * writable root: the image's layers below a tmpfs.
 */
export function ociRuntime(
  runtime: 'runc' | 'crun',
  { commands, image, program, directory }: PeerOptions,
): Peer {
  const made = createUndoStack();
  const unique = randomBytes(6).toString('hex');
  const stateDir = join(directory, 'state');
  const containersDir = join(directory, 'containers');
  let number = 0;
  let layers: readonly string[] = [];
  let template: Bundle | undefined;

  const bundleOf = (id: string): Bundle => {
    if (template === undefined) throw new Error(`cannot run ${runtime}: it was not prepared`);
    const env = Object.entries(program.env).map(([name, value]) => `${name}=${value}`);
    return {
      ...template,
      process: { ...template.process, terminal: false, args: program.argv, cwd: '/tmp', env },
      root: { path: 'root', readonly: false },
      // At the top, so that the runtime's removal of its own directory is the removal of all.
      linux: { ...template.linux, cgroupsPath: `/${id}` },
    };
  };

  return {
    name: runtime,
    probe: () =>
      probeCommand(
        commands,
        [runtime, '--version'],
        `apt-get install ${runtime} (Fedora: dnf install ${runtime})`,
      ),

    async prepare() {
      layers = await image.layers();
      await mkdir(containersDir, { recursive: true });
      await commands.run('mount', ['-t', 'tmpfs', '-o', 'mode=0755', 'tmpfs', containersDir]);
      made.push(() => unmount(containersDir));
      await commands.run(runtime, ['spec', '--bundle', directory]);
      template = bundleSchema.parse(JSON.parse(await readFile(join(directory, 'config.json'), 'utf8')));
    },

    async once() {
      const id = `oncebox-control-${unique}-${number++}`;
      const bundle = join(containersDir, id);
      const [root, upper, work] = [join(bundle, 'root'), join(bundle, 'upper'), join(bundle, 'work')];
      for (const path of [bundle, root, upper, work]) await mkdir(path);
      try {
        await writeFile(join(bundle, 'config.json'), JSON.stringify(bundleOf(id)));
        await mountWritableRoot(commands, image, layers, { upper, work, root });
        try {
          return await commands.run(runtime, ['--root', stateDir, 'run', '--bundle', bundle, id]);
        } catch (error) {
          // What failed half-way holds its root; where nothing is left there is nothing to delete.
          await runCommand(runtime, ['--root', stateDir, 'delete', '--force', id]).catch(() => {});
          throw error;
        } finally {
          await unmount(root);
        }
      } finally {
        await rm(bundle, { recursive: true });
      }
    },

    undo: () => made.run(),
  };
}
