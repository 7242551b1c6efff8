import type { ImageUser } from '../../runtime/image/users.ts';
import { baseEnvironment } from '../../runtime/interpreters/program-job.ts';
import type {
  FunctionVersionRequest,
  OciRequest,
  SandboxRequest,
} from '../../runtime/pool/sandbox-source.ts';
import { type SandboxSpec, type Secret, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { Command, Program } from '../../sdk/contract/program.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import type { InvocationJob } from '../queue/job.ts';
import type { NodeImage, NodeImages } from './node-images.ts';
import type { ReadSecrets } from './secrets.ts';

/** What a job needs of this node, ready to be leased and run. */
export interface PreparedJob {
  request: SandboxRequest;
  program: Program;
  /** Runs before, and leaves the files of `program`, a command. */
  compile?: { request: SandboxRequest; program: Command; limits: Limits };
  /** Wiped once they are handed over. */
  secrets?: Secret[];
}

export type PrepareJob = (job: InvocationJob) => Promise<PreparedJob>;

/** Turns what a job names (an image's digest, a user, a code layer) into what is on this node's disk. */
export function createJobPreparer(options: {
  bases: Record<RuntimeName, NodeImage>;
  images: Pick<NodeImages, 'ensure' | 'userOf'>;
  /** Puts a function version's layer on disk. */
  ensureCodeLayer: (hex: string) => Promise<void>;
  readSecrets: ReadSecrets;
}): PrepareJob {
  const { readSecrets } = options;
  const prepare = createSecretlessPreparer(options);
  return async (job) => {
    const prepared = await prepare(job);
    const { tenant, secrets: names = [] } = job;
    if (names.length === 0) return prepared;
    const { request } = prepared;
    // Last, so that they are in memory for as short as can be.
    const secrets = await readSecrets(tenant, names);
    return { ...prepared, request: { ...request, spec: { ...request.spec, secrets: true } }, secrets };
  };
}

function createSecretlessPreparer(
  options: Omit<Parameters<typeof createJobPreparer>[0], 'readSecrets'>,
): PrepareJob {
  const { bases, images, ensureCodeLayer } = options;
  return async (job) => {
    const { runtime, codeLayer, program } = job;
    const image = job.image ? await images.ensure(job.image) : runtime && bases[runtime];
    if (!image) throw new Error('the job names neither a runtime nor an image');
    if (codeLayer) await ensureCodeLayer(codeLayer);
    const own = { ...functionOf(job), ...wallOf(job) };
    const layers = codeLayer ? [codeLayer, ...image.layers] : image.layers;
    if (job.user !== undefined) {
      // Docker's default is root, who is nobody outside of the sandbox.
      const user = await images.userOf(image, job.user || '0');
      const spec = runtime === undefined ? commandSpec(layers, user, job) : { ...scratchSpec(layers), user };
      return { request: { runtime, image, spec, ...own }, program: withHome(program, user) };
    }
    const request = { runtime, image, spec: scratchSpec(layers), ...own };
    if (program.kind !== 'command') return { request, program };
    return { request, program: inWork(program), ...compileOf(job, request) };
  };
}

/** A language's command has what a snippet of a runtime has. */
function inWork(command: Command, home = baseEnvironment.HOME): Command {
  return { ...command, env: { ...baseEnvironment, HOME: home, ...command.env } };
}

/** The compiler's home is not its working directory, all of which is kept: it may have its cache there. */
function compileOf({ compile }: InvocationJob, request: SandboxRequest): Pick<PreparedJob, 'compile'> {
  if (!compile) return {};
  const { program, limits } = compile;
  // Walls are made for caps.
  const oci = request.oci && { ...request.oci, limits };
  return { compile: { request: { ...request, oci }, program: inWork(program, '/tmp'), limits } };
}

/** Present when the version's initialisation may run in a zygote. */
function functionOf(job: InvocationJob): { function?: FunctionVersionRequest } {
  const { program, limits, zygote, isolation = 'native' } = job;
  if (job.function === undefined || program.kind !== 'handler' || zygote === false) return {};
  if (isolation !== 'native') return {};
  const { handler, env, workingDir } = program;
  const { tenant } = job;
  const init = { handler, env, workingDir };
  return { function: { tenant, ...job.function, init, memoryBytes: limits.memoryBytes } };
}

/** Present when an OCI runtime is to make the sandbox. */
function wallOf({ isolation = 'native', limits }: InvocationJob): { oci?: OciRequest } {
  return isolation === 'native' ? {} : { oci: { wall: isolation, limits } };
}

function commandSpec(
  layers: readonly string[],
  user: ImageUser,
  { workingDir = '/' }: InvocationJob,
): SandboxSpec {
  return { layers, user, workingDir, scratch: false };
}

/** As Docker does: from the image's /etc/passwd, and `/` for a user whom that does not know. */
function withHome(program: Program, { home }: ImageUser): Program {
  if (program.kind !== 'command' && program.kind !== 'lambda') return program;
  if (program.env.HOME !== undefined) return program;
  return { ...program, env: { HOME: home ?? '/', ...program.env } };
}
