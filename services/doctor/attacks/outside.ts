import { execFile, spawn } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { programPath } from './programs.ts';
import { NotHere } from './verdict.ts';

export interface OutsideOptions {
  args?: readonly string[];
  stdin?: string;
  env?: Record<string, string>;
  /** Killed after so long: a net, unless it never ends by itself. */
  withinMs?: number;
  /** Killed so long after its first word on stdout: for what never ends by itself, however long its start takes. */
  goesOnMs?: number;
  /** A command that ends by executing what follows it, such as `setpriv`. */
  prefix?: readonly string[];
  /** Without it the program shares the host's namespaces, and must be one that changes nothing there. */
  isApart?: boolean;
}

export interface RanOutside {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: string;
  /** True: killed for taking too long. */
  isLate: boolean;
}

/** The system's own programs first: others may be wrappers that expect their user's environment. */
const searchPath = `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${process.env.PATH ?? ''}`;

/** The shell is process 1 there, which the kernel shields from signals; the program is not. */
const apart = [
  ...[
    'unshare',
    '--mount',
    '--pid',
    '--ipc',
    '--net',
    '--uts',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--',
  ],
  ...['sh', '-c', '"$@"; exit $?', 'sh'],
];

/**
 * Runs programs of attacks on the host as root, for controls. `isApart` gives them mount, pid, ipc, net and uts namespaces
 * of their own, whose end is the end of all that they started.
 */
export class Outside {
  readonly #patience: number;

  constructor(patience: number) {
    this.#patience = patience;
  }

  /** Rejects with `NotHere` where there is no such command. In a directory of its own, which is removed. */
  async run(command: readonly string[], options: OutsideOptions = {}): Promise<RanOutside> {
    const { args = [], stdin = '', env = {}, prefix = [], isApart = true } = options;
    const withinMs = (options.withinMs ?? 120_000) * this.#patience;
    const [file, ...rest] = [...(isApart ? apart : []), ...prefix, ...command, ...args] as [
      string,
      ...string[],
    ];
    const directory = await mkdtemp(join(tmpdir(), 'oncebox-control-'));
    try {
      return await new Promise((resolve, reject) => {
        // A process group of its own, so that what it left in the group can be ended too.
        const child = spawn(file, rest, {
          cwd: directory,
          env: { PATH: searchPath, HOME: directory, TMPDIR: directory, ...env },
          detached: true,
        });
        const output: Buffer[] = [];
        let stderr = '';
        let isLate = false;
        const end = () => {
          isLate = true;
          killGroup(child.pid);
        };
        let timer = setTimeout(end, withinMs);
        child.stdout.on('data', (chunk: Buffer) => {
          if (options.goesOnMs !== undefined && output.length === 0) {
            clearTimeout(timer);
            timer = setTimeout(end, options.goesOnMs);
          }
          output.push(chunk);
        });
        child.stderr.on('data', (chunk: Buffer) => {
          stderr = (stderr + chunk).slice(-4096);
        });
        child.stdin.on('error', () => {}); // it need not read
        child.stdin.end(stdin);
        child.once('error', (error: NodeJS.ErrnoException) => {
          clearTimeout(timer);
          reject(error.code === 'ENOENT' ? new NotHere(`this machine has no ${file}`) : error);
        });
        child.once('exit', () => killGroup(child.pid));
        child.once('close', (exitCode, signal) => {
          clearTimeout(timer);
          resolve({ exitCode, signal, stdout: Buffer.concat(output), stderr, isLate });
        });
      });
    } finally {
      // Not Node's own, whose paths can be too long for the kernel.
      await promisify(execFile)('rm', ['-rf', directory]);
    }
  }

  python(program: string, options: OutsideOptions = {}): Promise<RanOutside> {
    return this.run(['python3', programPath(program)], options);
  }

  node(program: string, options: OutsideOptions = {}): Promise<RanOutside> {
    return this.run([process.execPath, programPath(program)], options);
  }

  bash(program: string, options: OutsideOptions = {}): Promise<RanOutside> {
    return this.run(['bash', programPath(program)], options);
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}
