import type { Peer, PeerOptions } from './peer.ts';
import { probeCommand } from './presence.ts';

/** No container at all: the host's own interpreter, started and waited for. What isolation costs comes on top. */
export function childProcess({ commands, program }: PeerOptions): Peer {
  const [file = '', ...args] = program.argv;
  // Our own node is there even where PATH has none.
  const interpreter = file === 'node' ? process.execPath : file;
  return {
    name: 'child process',
    probe: () => probeCommand(commands, [interpreter, '--version'], `install ${file}`, program.env),
    prepare: async () => {},
    once: () => commands.run(interpreter, args, { env: program.env }),
    undo: async () => {},
  };
}
