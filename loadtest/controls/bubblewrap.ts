import { createUndoStack } from '../../services/shared/shutdown.ts';
import { mountImageRoot } from './image-root.ts';
import type { Peer, PeerOptions } from './peer.ts';
import { probeCommand } from './presence.ts';

/** Every namespace, the image's root read-only, a /tmp of its own, no capabilities. */
export function bubblewrap({ commands, image, program, directory }: PeerOptions): Peer {
  const made = createUndoStack();
  let root = '';
  const env = Object.entries(program.env).flatMap(([name, value]) => ['--setenv', name, value]);
  return {
    name: 'bubblewrap',
    probe: () =>
      probeCommand(
        commands,
        ['bwrap', '--version'],
        'apt-get install bubblewrap (Fedora: dnf install bubblewrap)',
      ),
    async prepare() {
      const mounted = await mountImageRoot(commands, image, directory);
      made.push(mounted.unmount);
      root = mounted.path;
    },
    once: () =>
      commands.run('bwrap', [
        ...['--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL', '--clearenv', ...env],
        ...['--ro-bind', root, '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', '--chdir', '/tmp'],
        ...['--', ...program.argv],
      ]),
    undo: () => made.run(),
  };
}
