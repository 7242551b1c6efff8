import type { LeasedSandbox, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { FakeSandbox } from '../pool/fake-sandbox.ts';

/** Leases fake sandboxes and keeps them for the test to end, lose or look at. */
export class FakeSource implements SandboxSource {
  readonly leased: FakeSandbox[] = [];
  /** What the next leases hand out instead of new sandboxes. */
  readonly next: FakeSandbox[] = [];
  failure: Error | undefined;
  readonly #waiting: ((sandbox: FakeSandbox) => void)[] = [];

  async lease(): Promise<LeasedSandbox> {
    if (this.failure) throw this.failure;
    const sandbox = this.next.shift() ?? new FakeSandbox();
    this.leased.push(sandbox);
    void sandbox.started.then(() => this.#waiting.shift()?.(sandbox));
    return { sandbox, start: 'warm', imageDigest: 'sha256:base' };
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

  async close(): Promise<void> {}
}
