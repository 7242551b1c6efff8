import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Limits } from '../../../sdk/contract/limits.ts';
import type { Interpreter } from '../../interpreters/program-job.ts';
import {
  encodeFrame,
  encodeOci,
  type Frame,
  FrameDecoder,
  frameType,
  maxReplyBytes,
} from '../../zygote/protocol.ts';
import { type Sandbox, SandboxLostError, type SandboxSpec } from '../sandbox.ts';
import { ZygoteSandbox } from '../zygote-sandbox.ts';
import { ociConfig } from './config.ts';
import { encodeOciJob } from './job.ts';
import type { OciWall } from './wall.ts';

export interface OciSandboxOptions {
  /** Path of the launcher's Unix socket. */
  launcherSocket: string;
  wall: OciWall;
  /** `exec`: what its program names is executed. */
  interpreter: Interpreter;
  /** Where the image has its interpreter, as PATH has it. */
  searchPath: string;
  spec: SandboxSpec;
  /** It is made with them, and run with them: another cap in the request of a run has no effect. */
  limits: Limits;
}

/** On its connection there is no other. */
const onlyId = 1;

/**
 * Has the launcher make a sandbox by an OCI runtime, on a connection of its own (runtime/native/oci.c). Resolves when the
 * container is created, with nothing running in it. Rejects with SandboxLostError and the runtime's reason.
 */
export async function createOciSandbox(options: OciSandboxOptions): Promise<Sandbox> {
  const { launcherSocket, wall, interpreter, searchPath, spec, limits } = options;
  const socket = connect(launcherSocket);
  try {
    await once(socket, 'connect');
  } catch (error) {
    throw new SandboxLostError(`cannot reach the launcher at ${launcherSocket}`, { cause: error });
  }
  const id = `${wall}-${randomBytes(5).toString('hex')}`;
  const sandbox: ZygoteSandbox = new ZygoteSandbox({
    id,
    spec,
    takesInput: false,
    encodeJob: (program) => encodeOciJob({ interpreter, program, workingDir: spec.workingDir, searchPath }),
    send: (type, ...payload) => socket.write(encodeFrame(type, onlyId, ...payload)),
    breach(reason) {
      sandbox.lose(new SandboxLostError(reason));
      socket.destroy();
    },
  });
  listen(socket, sandbox);
  const config = JSON.stringify(ociConfig(wall, spec, limits));
  socket.write(encodeFrame(frameType.OCI, 0, encodeOci(wall, limits, spec, config)));
  await sandbox.ready;
  return sandbox;
}

function listen(socket: Socket, sandbox: ZygoteSandbox): void {
  const decoder = new FrameDecoder(maxReplyBytes);
  const breach = (reason: string) => {
    sandbox.lose(new SandboxLostError(reason));
    socket.destroy();
  };
  const hear = (frame: Frame) => {
    // The launcher refuses in the name of none.
    const isOurs = frame.sandbox === onlyId || (frame.sandbox === 0 && frame.type === frameType.FAILED);
    if (isOurs) sandbox.hear(frame);
    else breach(`sandbox ${sandbox.id} spoke of sandbox ${frame.sandbox}, which is not there`);
  };
  socket.on('error', () => {}); // 'close' follows, and says it all
  socket.on('data', (chunk) => {
    try {
      for (const frame of decoder.push(chunk)) hear(frame);
    } catch (error) {
      breach(`sandbox ${sandbox.id} sent what is no frame: ${error}`);
    }
  });
  // The launcher closes its side when no process and no cgroup of it is left.
  socket.once('close', () => sandbox.lose(new SandboxLostError(`sandbox ${sandbox.id} was ended`)));
}
