import type { ListedSandbox, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import type { SandboxRecord } from '../../sdk/contract/node.ts';
import type { Runs } from './runs.ts';

/** What this node's containers are now, oldest first. */
export async function listSandboxes(
  source: SandboxSource,
  runs: Runs,
  node: string,
): Promise<SandboxRecord[]> {
  const records = await Promise.all(source.list().map((listed) => recordOf(listed, runs, node)));
  return records.sort((a, b) => b.ageMs - a.ageMs);
}

async function recordOf(listed: ListedSandbox, runs: Runs, node: string): Promise<SandboxRecord> {
  const { sandbox, runtime, start, imageDigest } = listed;
  const stat = await sandbox.stat();
  const run = runs.bySandbox(sandbox);
  return {
    id: sandbox.id,
    state: sandbox.state,
    runtime,
    image: { digest: run?.imageDigest ?? imageDigest },
    start: run?.start ?? start,
    ...stat,
    ageMs: performance.now() - sandbox.createdAtMs,
    node,
    ...(run && { invocationId: run.id }),
    ...(run?.function && { function: run.function.name }),
  };
}
