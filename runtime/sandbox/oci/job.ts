import { encodeExecutable, encodeJob, type Interpreter } from '../../interpreters/program-job.ts';
import type { RunnableProgram } from '../sandbox.ts';

/** How each interpreter is started for one program, in the sandbox. */
const coldArguments: Record<Exclude<Interpreter, 'exec'>, readonly string[]> = {
  node: ['node', '/.oncebox/cold.cjs'],
  // As its zygote is.
  python: ['python3', '-I', '-B', '/.oncebox/cold.py'],
};

export interface OciJob {
  interpreter: Interpreter;
  program: RunnableProgram;
  workingDir: string;
  /** Where the image has its interpreter. */
  searchPath: string;
}

/** What runtime/native/entry.c reads: the working directory, what to execute, and then what is for the interpreter. */
export function encodeOciJob({ interpreter, program, workingDir, searchPath }: OciJob): Buffer {
  const directory = Buffer.from(workingDir);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(directory.length);
  const job = encodeJob(interpreter, program);
  if (interpreter === 'exec') return Buffer.concat([length, directory, job]);
  // The program's own environment is for the program: its interpreter starts without.
  const start = encodeExecutable(coldArguments[interpreter], { PATH: searchPath, LANG: 'C.UTF-8' }, []);
  return Buffer.concat([length, directory, start, job]);
}
