import type { ListedSandbox, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import type { SandboxRecord } from '../../sdk/contract/node.ts';
import type { NodeImages } from './node-images.ts';
import type { Runs } from './runs.ts';

/** What this node's containers are now, oldest first. */
export async function listSandboxes(
  source: SandboxSource,
  runs: Runs,
  images: Pick<NodeImages, 'find'>,
  node: string,
): Promise<SandboxRecord[]> {
  const records = await Promise.all(source.list().map((listed) => recordOf(listed, runs, images, node)));
  return records.sort((a, b) => b.ageMs - a.ageMs);
}

async function recordOf(
  listed: ListedSandbox,
  runs: Runs,
  images: Pick<NodeImages, 'find'>,
  node: string,
): Promise<SandboxRecord> {
  const { sandbox, runtime, start, imageDigest } = listed;
  const [stat, image] = await Promise.all([sandbox.stat(), images.find(imageDigest)]);
  const run = runs.bySandbox(sandbox);
  const digest = run?.imageDigest ?? imageDigest;
  return {
    id: sandbox.id,
    state: sandbox.state,
    ...(runtime && { runtime }),
    image: { digest, ...(image?.reference && digest === imageDigest && { reference: image.reference }) },
    start: run?.start ?? start,
    ...stat,
    virtualBytes: stat.writableBytes + (image?.sizeBytes ?? 0),
    ageMs: performance.now() - sandbox.createdAtMs,
    node,
    ...(run && { invocationId: run.id }),
    ...(run?.tenant && { tenant: run.tenant }),
    ...(run?.function && { function: run.function.name }),
  };
}
