import { setMaxListeners } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Client, createClient } from '../../../sdk/client.ts';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { Limits } from '../../../sdk/contract/limits.ts';
import type { RunRequest } from '../../../sdk/contract/run-request.ts';
import { loadConfig } from '../../shared/config.ts';
import { createUndoStack } from '../../shared/shutdown.ts';
import { type Platform, startPlatform } from '../../up/platform.ts';
import { type KeyedGateway, startKeyedGateway } from './keyed-gateway.ts';
import { Outside } from './outside.ts';
import { readProgram } from './programs.ts';
import { copyStore } from './store-copy.ts';
import { Breach } from './verdict.ts';

export interface GroundOptions {
  signal: AbortSignal;
  /** How many times slower than an ordinary machine this one is: for an emulated one. */
  patience?: number;
  /** A store that may be changed and is nobody else's; a copy of the configured one unless given. */
  ownStoreDir?: string;
}

export interface ProgramOptions {
  args?: string[];
  stdin?: string;
  env?: Record<string, string>;
  limits?: Partial<Limits>;
  diff?: RunRequest['diff'];
}

/** Waiting invocations before a 429. */
export const queueMax = 64;

const runtimes = { py: 'python', js: 'node', mjs: 'node', sh: 'bash' } as const;

/** A platform to attack, of which nothing is left afterwards, and what attacks need. */
export class Ground {
  readonly platform: Platform;
  readonly client: Client;
  readonly outside: Outside;
  readonly patience: number;
  readonly signal: AbortSignal;
  /** What the parts of the platform wrote to their logs, warnings and worse. */
  readonly complaints: readonly string[];
  /** A gateway that asks for keys, and two who have one; started at the first call. */
  readonly keyed: () => Promise<KeyedGateway>;
  readonly close: () => Promise<void>;

  constructor(parts: {
    platform: Platform;
    patience: number;
    signal: AbortSignal;
    complaints: readonly string[];
    keyed: () => Promise<KeyedGateway>;
    close: () => Promise<void>;
  }) {
    this.platform = parts.platform;
    this.patience = parts.patience;
    this.signal = parts.signal;
    this.complaints = parts.complaints;
    this.keyed = parts.keyed;
    this.close = parts.close;
    this.client = createClient(parts.platform.url);
    this.outside = new Outside(parts.patience);
  }

  get url(): string {
    return this.platform.url;
  }

  /** Runs a program of `programs/` in a sandbox, by the runtime that its name says. */
  async program(name: string, options: ProgramOptions = {}): Promise<Invocation> {
    const extension = name.slice(name.lastIndexOf('.') + 1) as keyof typeof runtimes;
    return this.run({ runtime: runtimes[extension], code: await readProgram(name), ...options });
  }

  /** As the client's, with limits on time that nothing reaches which is not to. */
  run(request: RunRequest): Promise<Invocation> {
    return this.client.run(
      { ...request, limits: { ...this.patientLimits, ...request.limits } },
      { signal: this.signal },
    );
  }

  /** So long on an ordinary machine, milliseconds. */
  ms(ordinary: number): number {
    return Math.round(ordinary * this.patience);
  }

  /** A net for what hangs and no measure of anything, milliseconds: who is preempted for seconds, again and again, gets through. */
  get netMs(): number {
    return this.ms(60_000);
  }

  /** For who is to end by himself. */
  get patientLimits(): Pick<Limits, 'wallMs' | 'cpuMs'> {
    return { wallMs: this.netMs, cpuMs: this.netMs };
  }
}

/**
 * Starts a platform on a free port and a data directory of its own, with a copy of the image store. Rejects with nothing
 * left when it cannot be started.
 */
export async function startGround({ signal, patience = 1, ownStoreDir }: GroundOptions): Promise<Ground> {
  const undo = createUndoStack();
  try {
    signal.throwIfAborted();
    setMaxListeners(0, signal); // many clients at once are what some attacks are
    const dataDir = await mkdtemp(join(tmpdir(), 'oncebox-attacks-'));
    undo.push(() => rm(dataDir, { recursive: true, force: true }));
    await chmod(dataDir, 0o755); // Redis runs as the services' user and has to get through.
    const storeDir = ownStoreDir ?? (await copyOfStore(dataDir, undo));
    const config = loadConfig({
      ONCEBOX_DATA_DIR: dataDir,
      ONCEBOX_STORE_DIR: storeDir,
      ONCEBOX_PORT: '0',
      ONCEBOX_LOG_LEVEL: 'warn',
      ONCEBOX_POOL_NODE: '1',
      ONCEBOX_POOL_PYTHON: '2',
      ONCEBOX_POOL_BASH: '1',
      ONCEBOX_QUEUE_MAX: `${queueMax}`,
      ONCEBOX_READY_MS: `${30_000 * patience}`,
    });
    const complaints: string[] = [];
    const log = {
      step: () => {},
      event: (text: string) => void complaints.push(text),
      line: (service: string, line: string) => void complaints.push(`${service}: ${line}`),
    };
    const platform = await startPlatform(config, { log, signal, patience });
    undo.push(() => platform.close());
    let keyedGateway: Promise<KeyedGateway> | undefined;
    const onLine = (line: string) => void complaints.push(`keyed gateway: ${line}`);
    const keyed = () => {
      keyedGateway ??= startKeyedGateway(config, { onLine, patience });
      return keyedGateway;
    };
    undo.push(async () => (await keyedGateway?.catch(() => undefined))?.close());
    return new Ground({ platform, patience, signal, complaints, keyed, close: () => undo.run() });
  } catch (error) {
    await undo.run();
    throw error;
  }
}

async function copyOfStore(dataDir: string, undo: ReturnType<typeof createUndoStack>): Promise<string> {
  const source = loadConfig().storeDir;
  // On the same disk, so that files are linked and not copied.
  const copy = await mkdtemp(join(dirname(source), '.oncebox-attacks-')).catch(() => join(dataDir, 'store'));
  undo.push(() => rm(copy, { recursive: true, force: true }));
  await copyStore(source, copy);
  await chmod(copy, 0o755);
  return copy;
}

/** The last line of what a program printed, which is JSON. */
export function saidBy<T = Record<string, unknown>>(printed: string | Buffer | Invocation): T {
  const text = typeof printed === 'string' || Buffer.isBuffer(printed) ? `${printed}` : printed.stdout;
  const last = text.trimEnd().split('\n').at(-1) ?? '';
  try {
    return JSON.parse(last) as T;
  } catch {
    const seen = typeof printed === 'object' && 'outcome' in printed ? JSON.stringify(printed) : text;
    throw new Breach(`the program said nothing that can be read: ${seen.slice(0, 1500)}`);
  }
}
