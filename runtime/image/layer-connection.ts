import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import {
  encodeFrame,
  type Frame,
  FrameDecoder,
  type FrameType,
  frameType,
  unpackFault,
} from '../zygote/protocol.ts';

/** `invalid`: the archive is at fault; `full`: the disk is; `lost`: the platform is. */
export class UnpackError extends Error {
  readonly code: 'invalid' | 'full' | 'lost';

  constructor(code: UnpackError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnpackError';
    this.code = code;
  }
}

/** One request about a layer to the launcher, and its answers. */
export class LayerConnection {
  /** Aborted when the launcher has said more than READY, or is gone: there is no use in sending on. */
  readonly answered: AbortSignal;
  /** What went wrong, once that is known. */
  failure: UnpackError | undefined;
  readonly #socket: Socket;
  readonly #frames: Frame[] = [];
  readonly #answered = new AbortController();
  #wake: () => void = () => {};

  static async open(path: string): Promise<LayerConnection> {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
    } catch (error) {
      throw new UnpackError('lost', `cannot reach the launcher at ${path}`, { cause: error });
    }
    return new LayerConnection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.answered = this.#answered.signal;
    const decoder = new FrameDecoder();
    socket.on('error', () => {}); // 'close' follows, and says it all
    socket.on('data', (chunk) => {
      try {
        for (const frame of decoder.push(chunk)) this.#hear(frame);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.once('close', () => {
      this.failure ??= new UnpackError('lost', 'the launcher is gone');
      this.#tell();
    });
  }

  send(type: FrameType, payload: Uint8Array): void {
    this.#socket.write(encodeFrame(type, 0, payload));
  }

  /** Writes bytes that follow the frame. Rejects with the reason of `stop`, which ends the wait for room. */
  async write(chunk: Uint8Array, stop: AbortSignal): Promise<void> {
    if (!this.#socket.write(chunk)) await once(this.#socket, 'drain', { signal: stop });
    stop.throwIfAborted();
  }

  /** No more bytes follow; answers still do. */
  end(): void {
    this.#socket.end();
  }

  /** The next answer's payload. Rejects when it is a failure, or the launcher is gone. */
  async answer(type: FrameType): Promise<Buffer> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame?.type === type) return frame.payload;
      if (frame) throw new UnpackError('lost', `the launcher answered with frame ${frame.type}`);
      if (this.failure) throw this.failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #hear(frame: Frame): void {
    if (frame.type === frameType.FAILED) {
      const codes = { [unpackFault.INVALID]: 'invalid', [unpackFault.FULL]: 'full' } as const;
      const code = codes[frame.sandbox as 1 | 2] ?? 'lost';
      this.failure = new UnpackError(code, frame.payload.toString());
    } else {
      this.#frames.push(frame);
    }
    if (frame.type !== frameType.READY) this.#tell();
    this.#wake();
  }

  #tell(): void {
    this.#answered.abort();
    this.#wake();
  }
}
