import type { LeasedSandbox, SandboxRequest, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import type { PrepareJob } from '../../services/worker/prepare-job.ts';
import { FakeSandbox } from '../pool/fake-sandbox.ts';

/** Leases fake sandboxes and keeps them for the test to end, lose or look at. */
export class FakeSource implements SandboxSource {
  readonly leased: FakeSandbox[] = [];
  readonly requests: SandboxRequest[] = [];
  /** What the next leases hand out instead of new sandboxes. */
  readonly next: FakeSandbox[] = [];
  failure: Error | undefined;
  readonly #waiting: ((sandbox: FakeSandbox) => void)[] = [];

  async lease(request: SandboxRequest): Promise<LeasedSandbox> {
    if (this.failure) throw this.failure;
    this.requests.push(request);
    const sandbox = this.next.shift() ?? new FakeSandbox();
    this.leased.push(sandbox);
    void sandbox.started.then(() => this.#waiting.shift()?.(sandbox));
    return { sandbox, start: 'warm' };
  }

  /** Resolves with the next sandbox that is given a program. */
  running(): Promise<FakeSandbox> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  list() {
    return this.leased.map((sandbox) => ({
      sandbox,
      runtime: 'node' as const,
      pool: 'leased' as const,
      start: 'warm' as const,
      imageDigest: 'sha256:base',
    }));
  }

  keepWarm() {}

  living() {
    return this.leased;
  }

  layersInUse(): string[] {
    return this.leased.flatMap(({ layers }) => layers);
  }

  stats(): never {
    throw new Error('nobody asks');
  }

  sandboxesOn(): number {
    return this.leased.length;
  }

  async drain(): Promise<() => void> {
    return () => {};
  }

  async close(): Promise<void> {}
}

/** Every job runs as it is, on one image. */
export const prepareAsIs: PrepareJob = async ({ runtime, program }) => ({
  request: {
    runtime,
    image: { digest: 'sha256:base', layers: ['base'], searchPath: '/bin' },
    spec: scratchSpec(['base']),
  },
  program,
});
