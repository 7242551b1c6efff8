import type { SourceFile } from '../../sdk/contract/program.ts';
import type { BinaryFile, RunnableProgram, Zone } from '../sandbox/sandbox.ts';
import { encodeLambdaCall } from './lambda-call.ts';

export type Interpreter = Zone['interpreter'];

/** Where programs are in an image that does not say it. */
export const defaultSearchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What every program finds in its environment; what the request gives comes on top. */
export const baseEnvironment = {
  PATH: defaultSearchPath,
  HOME: '/work',
  USER: 'sandbox',
  LOGNAME: 'sandbox',
  LANG: 'C.UTF-8',
  TMPDIR: '/tmp',
};

/** The argv of each interpreter's zygote, whose first is looked up in the image; exec's is built into the native part. */
export const zygoteArguments: Record<Interpreter, readonly string[]> = {
  // --single-threaded: V8's worker threads do not exist in a fork, and nothing may wait for them.
  // --use-largepages: node's code in huge pages is mapped in every fork from its start; else each takes some
  // hundred page faults to find it again, a sixth of all that an invocation costs.
  node: ['node', '--single-threaded', '--use-largepages=on', '/.oncebox/zygote.cjs'],
  // -I: no user site, no PYTHON* of anyone; -X frozen_modules is the default of a release build.
  python: ['python3', '-I', '-B', '/.oncebox/zygote.py'],
  exec: [],
};

/** A function whose initialisation is to run in a zygote: what of its version decides how that goes. */
export interface FunctionInit {
  /** As `handlerSchema` has it. */
  handler: string;
  /** What the version adds to the environment; all of its invocations have the same. */
  env: Readonly<Record<string, string>>;
  /** The sandbox's own unless given. */
  workingDir?: string | undefined;
}

/** The kernel takes no string in an environment that is longer (MAX_ARG_STRLEN), bytes with its name and its end. */
const maxInitBytes = 131_072 - 'ONCEBOX_INIT='.length;

/** The last argument of a function's zygote. Throws RangeError when the environment is too large for one. */
export function encodeInit({ handler, env, workingDir }: FunctionInit): string {
  const text = JSON.stringify({ handler, env: { ...baseEnvironment, ...env }, workingDir });
  const bytes = Buffer.byteLength(text) + 1;
  if (bytes > maxInitBytes) {
    throw new RangeError(
      `the environment makes ${bytes} bytes; a function with a zygote may have ${maxInitBytes}`,
    );
  }
  return text;
}

/** The bytes a parked process of this interpreter waits for. */
export function encodeJob(interpreter: Interpreter, program: RunnableProgram): Buffer {
  const env: Record<string, string> = { ...baseEnvironment, ...program.env };
  if (interpreter !== 'exec') return Buffer.from(JSON.stringify({ ...program, env }));
  if (program.kind === 'command') return encodeExecutable(program.argv, program.env, program.files);
  if (program.kind === 'lambda')
    return Buffer.concat([encodeExecutable(program.argv, program.env, []), encodeLambdaCall(program)]);
  if (program.kind !== 'snippet') throw new Error('exec calls no handlers');
  return encodeExecutable(['/bin/bash', program.entry, ...program.args], env, program.files);
}

/** Read by runtime/native/exec-job.c: counted lists of length-prefixed strings. */
export function encodeExecutable(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  files: readonly (SourceFile | BinaryFile)[],
): Buffer {
  const parts: Uint8Array[] = [];
  const number = (value: number) => {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(value);
    parts.push(bytes);
  };
  const string = (value: string | Uint8Array) => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    number(bytes.length);
    parts.push(bytes);
  };
  number(argv.length);
  argv.forEach(string);
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  number(variables.length);
  variables.forEach(string);
  number(files.length);
  for (const file of files) {
    string(file.path);
    string('bytes' in file ? file.bytes : Buffer.from(file.content, file.encoding));
  }
  return Buffer.concat(parts);
}
