/** Runs a program that does not end, says so, and waits to be killed: `doomed-worker.ts ISOLATION SOCKET`, layers on stdin. */
import { json } from 'node:stream/consumers';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { createOciSandbox } from '../../runtime/sandbox/oci/oci-sandbox.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { isolationSchema } from '../../sdk/contract/isolation.ts';
import { patientLimits } from '../support/limits.ts';
import { snippetOf } from './programs.ts';

const wall = isolationSchema.parse(process.argv[2]);
const launcherSocket = process.argv[3] as string;
const layers = (await json(process.stdin)) as string[];
const limits = patientLimits({ wallMs: 600_000 });
const common = { launcherSocket, interpreter: 'exec', searchPath: defaultSearchPath } as const;
const sandbox =
  wall === 'native'
    ? await (await openZone({ ...common, layers })).create(scratchSpec(layers))
    : await createOciSandbox({ ...common, wall, spec: scratchSpec(layers), limits });
void sandbox.run({ program: snippetOf('bash', 'sleep 1000'), limits, stdin: new Uint8Array() });
process.stdout.write('running\n');
