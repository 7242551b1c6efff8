import type { Limits } from '../../sdk/contract/limits.ts';
import type { Interpreter } from '../interpreters/program-job.ts';
import type { OciSandboxOptions } from '../sandbox/oci/oci-sandbox.ts';
import type { OciWall } from '../sandbox/oci/wall.ts';
import type { Sandbox, SandboxSpec } from '../sandbox/sandbox.ts';
import type { ListedSandbox, PoolPurpose } from './spec-pools.ts';
import { type GroupStats, Tally } from './stats.ts';

/** A wall that an OCI runtime makes, and the caps that its sandbox is made with. */
export interface OciRequest {
  wall: OciWall;
  limits: Limits;
}

export interface OciSandboxesOptions {
  /** Those that this node has a runtime for. */
  walls: readonly OciWall[];
  create: (options: Omit<OciSandboxOptions, 'launcherSocket'>) => Promise<Sandbox>;
}

/** Sandboxes of OCI runtimes: none is ever parked. Each is made for its lease, so its start is cold. */
export class OciSandboxes {
  readonly #options: OciSandboxesOptions;
  readonly #listed = new Map<Sandbox, ListedSandbox>();
  /** Of those that are being made, by their image. */
  readonly #making = new Map<Promise<unknown>, string>();
  readonly #tally = new Tally();
  #isOpen = true;

  constructor(options: OciSandboxesOptions) {
    this.#options = options;
  }

  async lease(
    { wall, limits }: OciRequest,
    interpreter: Interpreter,
    searchPath: string,
    spec: SandboxSpec,
    purpose: PoolPurpose,
  ): Promise<{ sandbox: Sandbox; start: 'cold' }> {
    if (!this.#isOpen) throw new Error('the sandboxes of OCI runtimes are closed');
    if (!this.#options.walls.includes(wall)) throw new Error(`this node has no runtime for "${wall}"`);
    const making = this.#options.create({ wall, interpreter, searchPath, spec, limits });
    this.#making.set(making, purpose.imageDigest);
    try {
      const sandbox = await making;
      this.#tally.made(sandbox);
      this.#listed.set(sandbox, { ...purpose, sandbox, pool: 'leased', start: 'cold' });
      void sandbox.dead.then(() => this.#listed.delete(sandbox));
      if (!this.#isOpen) await sandbox.kill();
      return { sandbox, start: 'cold' };
    } finally {
      this.#making.delete(making);
    }
  }

  list(): ListedSandbox[] {
    return [...this.#listed.values()];
  }

  living(): Iterable<Sandbox> {
    return this.#tally.living;
  }

  async stats(): Promise<GroupStats> {
    return { ...(await this.#tally.stats([])), leased: this.#listed.size };
  }

  /** Resolves when nothing runs on the image. */
  async drain(imageDigest: string): Promise<void> {
    const making = [...this.#making].filter(([, digest]) => digest === imageDigest).map(([made]) => made);
    await Promise.allSettled(making);
    const running = this.list().filter((listed) => listed.imageDigest === imageDigest);
    await Promise.all(running.map(({ sandbox }) => sandbox.dead));
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    await Promise.allSettled(this.#making.keys());
    await Promise.all(this.list().map(({ sandbox }) => sandbox.kill()));
  }
}
