import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { pythonToolsDir } from './tools.ts';

const familySchema = z.object({
  name: z.string(),
  type: z.string(),
  help: z.string(),
  samples: z.array(
    z.object({ name: z.string(), labels: z.record(z.string(), z.string()), value: z.number() }),
  ),
});
export type Family = z.infer<typeof familySchema>;

const script = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
print(json.dumps([{"name": f.name, "type": f.type, "help": f.documentation, "samples": [
  {"name": s.name, "labels": s.labels, "value": s.value if abs(s.value) != float("inf") and s.value == s.value else 0}
  for s in f.samples]} for f in families]))
`;

/** Read by Prometheus's own Python parser, which rejects what is no exposition. */
export async function parseMetrics(text: string): Promise<Family[]> {
  const run = promisify(execFile)('python3', ['-c', script], {
    env: { PATH: process.env.PATH, PYTHONPATH: pythonToolsDir() },
    maxBuffer: 16 * 1024 * 1024,
  });
  run.child.stdin?.end(text);
  return z.array(familySchema).parse(JSON.parse((await run).stdout));
}

/** Sum of all samples of that name whose labels hold these. */
export function total(families: Family[], name: string, labels: Record<string, string> = {}): number {
  return families
    .flatMap(({ samples }) => samples)
    .filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
    .reduce((sum, { value }) => sum + value, 0);
}
