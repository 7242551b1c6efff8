import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import type { Image } from '../image/image.ts';
import { type Sandbox, scratchSpec, type Zone } from '../sandbox/sandbox.ts';
import { type Lease, type PoolState, WarmPool } from './warm-pool.ts';
import { ZoneKeeper } from './zone-keeper.ts';

export interface SandboxSourceOptions {
  openZone: (options: { interpreter: Zone['interpreter']; image: Image }) => Promise<Zone>;
  /** The base image of every runtime served. */
  images: Record<RuntimeName, Image>;
  /** Sandboxes kept parked for each runtime. */
  targets: Record<RuntimeName, number>;
  /** Sandboxes kept parked for each function version in use, and for how long after its last lease. */
  functionTarget: number;
  functionIdleMs: number;
  onError: (error: unknown, runtime: RuntimeName) => void;
}

export interface SandboxRequest {
  runtime: RuntimeName;
  /** Digest hex of a layer on top of the runtime's base; it must be on disk already. */
  codeLayer?: string | undefined;
}

export interface LeasedSandbox {
  sandbox: Sandbox;
  /** `cold` when the lease had to wait for a zone to boot. */
  start: 'warm' | 'fork' | 'cold';
  /** Manifest of the runtime's base image. */
  imageDigest: string;
}

export interface ListedSandbox {
  sandbox: Sandbox;
  runtime: RuntimeName;
  codeLayer?: string;
  pool: PoolState;
  start: 'warm' | 'fork';
  imageDigest: string;
}

/** What the worker sees of the pools: the interface that its tests fake to make faults. */
export interface SandboxSource {
  lease(request: SandboxRequest): Promise<LeasedSandbox>;
  list(): readonly ListedSandbox[];
  /** Closes pools and zones, which kills every sandbox. */
  close(): Promise<void>;
}

const interpreterOf: Record<RuntimeName, Zone['interpreter']> = {
  node: 'node',
  python: 'python',
  bash: 'exec',
};

interface RuntimePools {
  runtime: RuntimeName;
  image: Image;
  keeper: ZoneKeeper;
  base: WarmPool;
  functions: Map<string, { pool: WarmPool; idle: NodeJS.Timeout }>;
}

/** Opens a zone and a pool for each runtime. Resolves when every pool is full; function pools come with first use. */
export async function openSandboxSource(options: SandboxSourceOptions): Promise<SandboxSource> {
  const runtimes = new Map(
    (Object.keys(options.images) as RuntimeName[]).map((runtime) => [runtime, openRuntime(runtime, options)]),
  );
  await Promise.all([...runtimes.values()].map(({ base }) => base.full()));

  return {
    async lease({ runtime, codeLayer }) {
      const pools = runtimes.get(runtime);
      if (!pools) throw new Error(`cannot lease: no runtime ${runtime} on this node`);
      const { keeper } = pools;
      const { isOpen, boots } = keeper;
      const lease = await leaseFrom(pools, codeLayer, options);
      const waitedForBoot = lease.start === 'fork' && (!isOpen || keeper.boots !== boots);
      return { ...lease, start: waitedForBoot ? 'cold' : lease.start, imageDigest: pools.image.digest };
    },

    list() {
      return [...runtimes.values()].flatMap((pools) => [
        ...listPool(pools, pools.base),
        ...[...pools.functions].flatMap(([layer, { pool }]) =>
          listPool(pools, pool).map((listed) => ({ ...listed, codeLayer: layer })),
        ),
      ]);
    },

    async close() {
      await Promise.all(
        [...runtimes.values()].map(async ({ keeper, base, functions }) => {
          for (const { idle } of functions.values()) clearTimeout(idle);
          await Promise.all(
            [base, ...[...functions.values()].map(({ pool }) => pool)].map((pool) => pool.close()),
          );
          await keeper.close();
        }),
      );
    },
  };
}

function openRuntime(runtime: RuntimeName, options: SandboxSourceOptions): RuntimePools {
  const image = options.images[runtime];
  const onError = (error: unknown) => options.onError(error, runtime);
  const open = () => options.openZone({ interpreter: interpreterOf[runtime], image });
  const keeper = new ZoneKeeper({ open, onError });
  const base = new WarmPool({
    create: () => keeper.create(scratchSpec(image.layers)),
    target: options.targets[runtime],
    onError,
  });
  return { runtime, image, keeper, base, functions: new Map() };
}

function leaseFrom(
  pools: RuntimePools,
  codeLayer: string | undefined,
  options: SandboxSourceOptions,
): Promise<Lease> {
  if (codeLayer === undefined) return pools.base.lease();
  const existing = pools.functions.get(codeLayer);
  if (existing) {
    existing.idle.refresh();
    return existing.pool.lease();
  }
  const layers = [codeLayer, ...pools.image.layers];
  const pool = new WarmPool({
    create: () => pools.keeper.create(scratchSpec(layers)),
    target: 0,
    onError: (error) => options.onError(error, pools.runtime),
  });
  const idle = setTimeout(() => {
    if (pool.leased > 0) return void idle.refresh();
    pools.functions.delete(codeLayer);
    void pool.close();
  }, options.functionIdleMs).unref();
  pools.functions.set(codeLayer, { pool, idle });
  // The first caller's own sandbox is asked for before the spares.
  const lease = pool.lease();
  pool.setTarget(options.functionTarget);
  return lease;
}

function listPool(pools: RuntimePools, pool: WarmPool): ListedSandbox[] {
  const { runtime, image } = pools;
  return pool.list().map((entry) => ({
    sandbox: entry.sandbox,
    runtime,
    pool: entry.state,
    start: entry.start,
    imageDigest: image.digest,
  }));
}
