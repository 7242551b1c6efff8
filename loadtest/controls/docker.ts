import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { isMissing, runCommand } from './commands.ts';
import { mountImageRoot } from './image-root.ts';
import type { Peer, PeerOptions } from './peer.ts';
import { reasonOf } from './presence.ts';

/** `docker run --rm --network none`, on an image made of our layers; whatever daemon the client finds. */
export function docker({ commands, image, program, directory }: PeerOptions): Peer {
  const made = createUndoStack();
  const unique = randomBytes(6).toString('hex');
  const tag = `oncebox-control:${unique}`;
  const label = `oncebox.control=${unique}`;
  const env = Object.entries(program.env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);

  /** Numeric and 0: our layers' ids are shifted, and Docker's containers see the host's. */
  async function importImage() {
    const archive = join(directory, 'image.tar');
    const root = await mountImageRoot(commands, image, directory);
    try {
      const owner = ['--owner=0', '--group=0', '--numeric-owner'];
      await commands.run('tar', ['-C', root.path, ...owner, '-cf', archive, '.']);
    } finally {
      await root.unmount();
    }
    await commands.run('docker', ['import', archive, tag]);
    await rm(archive);
  }

  return {
    name: 'docker run --rm',

    async probe() {
      try {
        const version = await commands.run('docker', ['version', '--format', '{{.Server.Version}}']);
        return { available: true, version: version.trim() };
      } catch (error) {
        const reason = isMissing(error)
          ? 'there is no docker on PATH: apt-get install docker.io, or see docs.docker.com/engine/install'
          : `no docker daemon answers: start one, as loadtest/controls/README.md says (${reasonOf(error)})`;
        return { available: false, version: null, reason };
      }
    },

    async prepare() {
      made.push(() => runCommand('docker', ['image', 'rm', '--force', tag]));
      // Undone before the image: a container holds it.
      made.push(() => removeContainers(label));
      await importImage();
    },

    once: () =>
      commands.run('docker', [
        ...['run', '--rm', '--network', 'none', '--label', label, '--workdir', '/tmp', ...env],
        ...[tag, ...program.argv],
      ]),

    undo: () => made.run(),
  };
}

/** A client that hung was killed, and its container is the daemon's. */
async function removeContainers(label: string): Promise<void> {
  const ids = await runCommand('docker', ['ps', '--all', '--quiet', '--filter', `label=${label}`]);
  const left = ids.split('\n').filter((id) => id !== '');
  if (left.length > 0) await runCommand('docker', ['rm', '--force', ...left]);
}
