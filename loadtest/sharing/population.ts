import { type Sandbox, scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { payloadPath } from './bench-layers.ts';

export type Kind = 'node' | 'exec';

const MiB = 1024 * 1024;
/** A program says that it has read all by writing this much: output is reported at the end only, and there is none. */
const markBytes = 64 * 1024;
const startedAtOnce = 8;
const patienceMs = 120_000;

/** Reads every byte of the payload, loads what a program loads, and then waits to be killed. */
const programs: Record<Kind, { path: string; content: string }> = {
  node: {
    path: 'index.js',
    content: `const fs = require('node:fs');
for (const name of ['http', 'crypto', 'zlib', 'url', 'stream', 'util', 'readline', 'assert']) require('node:' + name);
const buffer = Buffer.alloc(1 << 20);
for (const name of fs.readdirSync('${payloadPath}')) {
  const file = fs.openSync('${payloadPath}/' + name);
  while (fs.readSync(file, buffer) > 0);
  fs.closeSync(file);
}
fs.writeFileSync('read', Buffer.alloc(${markBytes}, 1));
setInterval(() => {}, 1 << 30);`,
  },
  exec: {
    path: 'main.sh',
    content: `cat ${payloadPath}/* >/dev/null; head -c ${markBytes} /dev/zero >read; exec sleep 100000`,
  },
};

/** Sandboxes of one zone that are all alive and have all read the payload. */
export class Population {
  readonly #zone: Zone;
  readonly #kind: Kind;
  readonly #sandboxes: Sandbox[] = [];

  constructor(zone: Zone, kind: Kind) {
    this.#zone = zone;
    this.#kind = kind;
  }

  /** Adds sandboxes until there are `count`; each is stacked on what `layers` gives it. */
  async grow(count: number, layers: () => Promise<readonly string[]>): Promise<void> {
    let next = this.#sandboxes.length;
    const starter = async () => {
      while (next++ < count) await this.#start(await layers());
    };
    await Promise.all(Array.from({ length: startedAtOnce }, starter));
  }

  async end(): Promise<void> {
    await Promise.all(this.#sandboxes.map((sandbox) => sandbox.kill()));
    this.#sandboxes.length = 0;
  }

  async #start(layers: readonly string[]): Promise<void> {
    const sandbox = await this.#zone.create(scratchSpec(layers));
    this.#sandboxes.push(sandbox);
    const { path, content } = programs[this.#kind];
    const program: Program = {
      kind: 'snippet',
      files: [{ path, content, encoding: 'utf8' }],
      entry: path,
      args: [],
      env: {},
    };
    const limits = { ...defaultLimits(), wallMs: 900_000, cpuMs: 900_000, memoryBytes: 512 * MiB };
    const ended = sandbox.run({ program, limits, stdin: new Uint8Array() }).then((report): never => {
      throw new Error(`cannot measure: a sandbox ended too early: ${Buffer.from(report.stderr)}`);
    });
    // After `end` all of them do.
    ended.catch(() => {});
    await Promise.race([ended, hasRead(sandbox)]);
  }
}

async function hasRead(sandbox: Sandbox): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while ((await sandbox.stat()).writableBytes < markBytes) {
    if (performance.now() > deadline) throw new Error('cannot measure: a sandbox did not read its payload');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
