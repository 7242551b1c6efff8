import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Zone } from '../../runtime/sandbox/sandbox.ts';
import { encodeFrame, type FrameType, frameType } from '../../runtime/zygote/protocol.ts';
import { openZone } from '../../runtime/zygote/zone.ts';

export interface FakeAgent {
  zone: Zone;
  socket: Socket;
  send(type: FrameType, sandbox: number, payload?: Buffer): void;
  close(): Promise<void>;
}

/** A zone whose agent does what the test says: one that an image has taken over, or that has too much to do. Ours does none of it. */
export async function openWithFakeAgent(): Promise<FakeAgent> {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-test-agent-'));
  const launcherSocket = join(directory, 'launcher.sock');
  const server = createServer({ allowHalfOpen: true }).listen(launcherSocket);
  const connected = once(server, 'connection');
  const opening = openZone({ launcherSocket, interpreter: 'exec', layers: ['a'], searchPath: '/bin' });
  const [socket]: Socket[] = await connected;
  if (!socket) throw new Error('nobody came');
  socket.on('error', () => {});
  const send: FakeAgent['send'] = (type, sandbox, payload = Buffer.alloc(0)) =>
    void socket.write(encodeFrame(type, sandbox, payload));
  send(frameType.READY, 0);
  return {
    zone: await opening,
    socket,
    send,
    async close() {
      socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}
