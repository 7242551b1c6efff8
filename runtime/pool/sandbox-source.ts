import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import type { Image } from '../image/image.ts';
import {
  type Sandbox,
  SandboxLostError,
  type SandboxSpec,
  scratchSpec,
  type Zone,
} from '../sandbox/sandbox.ts';
import { type FunctionVersionRequest, FunctionZones, type KeptVersion } from './function-zones.ts';
import { ImageZones, type ZoneRequest } from './image-zones.ts';
import { type OciRequest, OciSandboxes, type OciSandboxesOptions } from './oci-sandboxes.ts';
import { RefillGate } from './refill-gate.ts';
import { openRotatingZone, type Rotation } from './rotating-zone.ts';
import { type ListedSandbox, type PoolPurpose, SpecPools } from './spec-pools.ts';
import { type SourceStats, Tally } from './stats.ts';
import { ZoneKeeper } from './zone-keeper.ts';

export type { FunctionVersionRequest, ListedSandbox, OciRequest, ZoneRequest };

export interface SandboxSourceOptions {
  openZone: (request: ZoneRequest) => Promise<Zone>;
  /** The base image of every runtime served: made by set-up, so its interpreter is trusted to be a zygote. */
  images: Record<RuntimeName, Image & { searchPath: string }>;
  /** Sandboxes kept parked for each runtime when it is idle. 0: none is ever parked. */
  targets: Record<RuntimeName, number>;
  /** Likewise for each function version or image in use, and for how long after its last lease. */
  functionTarget: number;
  functionIdleMs: number;
  /** Parked sandboxes of all pools together; without a bound unless given. */
  parkedMax?: number;
  /** Zygotes of functions: what they may have of memory together, and who hears why one has none. Absent: there are none. */
  functionZygotes?: {
    memoryBytes: number;
    onUnfit: (reason: string, version: Pick<FunctionVersionRequest, 'name' | 'version'>) => void;
  };
  /** When a zygote is replaced by a new one. Absent: never. */
  rotation?: Rotation;
  /** Walls that OCI runtimes make. Absent: there are none. */
  oci?: OciSandboxesOptions;
  /** Told what could not be made: a runtime, or an interpreter and an image's digest. */
  onError: (error: unknown, what: string) => void;
}

export interface SandboxRequest {
  /** Absent: the image's command is executed. */
  runtime?: RuntimeName | undefined;
  /** `searchPath` is the PATH of its configuration. */
  image: Image & { searchPath: string };
  /** Its layers are the image's, perhaps with a code layer on top; all must be on disk already. */
  spec: SandboxSpec;
  /** A function whose initialisation may run in a zygote of its own. */
  function?: FunctionVersionRequest | undefined;
  /** Another wall than ours; absent: ours. */
  oci?: OciRequest | undefined;
}

export interface LeasedSandbox {
  sandbox: Sandbox;
  /** `cold` when the lease had to wait for a zone to boot. */
  start: 'warm' | 'fork' | 'cold';
  /** Its function was initialised before, in a zygote, and this is what that took there, milliseconds. */
  sharedInitMs?: number;
  /** To be told how long the function's initialisation took in this sandbox, milliseconds: one that costs is shared. */
  initialised?: (ms: number) => void;
}

/** What the worker sees of the pools: the interface that its tests fake to make faults. */
export interface SandboxSource {
  lease(request: SandboxRequest): Promise<LeasedSandbox>;
  list(): readonly ListedSandbox[];
  /** Everything made of which something is left; those that are being ended are listed no more. */
  living(): readonly Sandbox[];
  /** What there is and what was done, for an operator. Takes a second at most. */
  stats(): Promise<SourceStats>;
  /** Digest hex of layers that sandboxes and zygotes of functions stand on now. */
  layersInUse(): readonly string[];
  /**
   * From now on keeps so many parked of these, and of no others, and zygotes of those that have one; to be called again every
   * so often. Those behind another wall, and those on an image with an interpreter of its own that have no zygote, are not kept.
   */
  keepWarm(wanted: readonly KeptVersion<SandboxRequest>[]): void;
  /** Sandboxes that stand on the image now, parked ones included. */
  sandboxesOn(imageDigest: string): number;
  /**
   * Refuses new leases on the image, waits until what runs on it is dead, and closes its pools and zones. Resolves with
   * what ends the refusal. Rejects for a runtime's base image.
   */
  drain(imageDigest: string): Promise<() => void>;
  /** Closes pools and zones, which kills every sandbox. */
  close(): Promise<void>;
}

const interpreterOf: Record<RuntimeName, Zone['interpreter']> = {
  node: 'node',
  python: 'python',
  bash: 'exec',
};

/**
 * Zones open at once on a node, of images and of functions: the launcher has room for 96 in all, those that boot and those
 * that are on their way out included.
 */
const imageZonesMax = 16;
const functionZonesMax = 48;

/** What of an absent rotation is the same as none. */
const never: Rotation = { forksMax: Number.POSITIVE_INFINITY, ageMs: Number.POSITIVE_INFINITY };

interface BaseZone {
  image: Image;
  tally: Tally;
  keeper: ZoneKeeper;
  pools: SpecPools;
}

/** Opens a zone and a pool for each runtime. Resolves when every pool is full; other pools come with first use. */
export async function openSandboxSource(options: SandboxSourceOptions): Promise<SandboxSource> {
  const { functionTarget: spareTarget, functionIdleMs: idleMs, onError } = options;
  const { rotation = never, parkedMax = Number.POSITIVE_INFINITY } = options;
  const gate = new RefillGate({ parkedMax });
  const runtimes = Object.keys(options.images) as RuntimeName[];
  const bases = new Map(
    runtimes.map((runtime) => [interpreterOf[runtime], openBase(runtime, options, gate)]),
  );
  const images = new ImageZones({
    openZone: options.openZone,
    max: imageZonesMax,
    spareTarget,
    gate,
    idleMs,
    rotation,
    onError,
  });
  const draining = new Set<string>();
  const functions =
    options.functionZygotes &&
    new FunctionZones({
      ...options.functionZygotes,
      openZone: options.openZone,
      max: functionZonesMax,
      spareTarget,
      gate,
      idleMs,
      rotation,
      isDraining: (imageDigest) => draining.has(imageDigest),
      keepOrdinary: (request, count) => keepOrdinary(request.interpreter, request, request.purpose, count),
      onError,
    });
  const oci = new OciSandboxes(
    options.oci ?? { walls: [], create: () => Promise.reject(new Error('no walls')) },
  );
  await Promise.all(
    runtimes.map((runtime) => {
      const { digest, layers } = options.images[runtime];
      const purpose = { imageDigest: digest, runtime };
      const base = bases.get(interpreterOf[runtime]) as BaseZone;
      return base.pools.keep(scratchSpec(layers), purpose, options.targets[runtime]);
    }),
  );
  const list = () => [
    ...[...bases.values()].flatMap(({ pools }) => pools.list()),
    ...images.list(),
    ...(functions?.list() ?? []),
    ...oci.list(),
  ];

  function leaseOrdinary(
    interpreter: Zone['interpreter'],
    { image, spec }: SandboxRequest,
    purpose: PoolPurpose,
  ): Promise<LeasedSandbox> {
    const base = bases.get(interpreter);
    // exec's zygote is built into the native part. Any other comes from below the layers: on top of a base image it
    // is the trusted one, else it is the image's own.
    if (base && (interpreter === 'exec' || standsOn(image.layers, base.image.layers)))
      return leaseFrom(base, spec, purpose);
    return images.lease(interpreter, image, spec, purpose);
  }

  function keepOrdinary(
    interpreter: Zone['interpreter'],
    { image, spec }: SandboxRequest,
    purpose: PoolPurpose,
    count: number,
  ): void {
    const base = bases.get(interpreter);
    if (base && standsOn(image.layers, base.image.layers)) base.pools.keepWarm(spec, purpose, count);
  }

  /** Those that can have no zygote. */
  let keptOrdinary: (KeptVersion<SandboxRequest> & { key: string })[] = [];

  function keepWarm(wanted: readonly KeptVersion<SandboxRequest>[]): void {
    const shared: KeptVersion[] = [];
    const ordinary: typeof keptOrdinary = [];
    for (const { request, count } of wanted) {
      const { runtime, image, spec } = request;
      if (runtime === undefined || request.oci || draining.has(image.digest)) continue;
      const purpose: PoolPurpose = { imageDigest: image.digest, runtime };
      const of = { interpreter: interpreterOf[runtime], image, spec, purpose };
      if (functions && request.function)
        shared.push({ request: { ...of, function: request.function }, count });
      else ordinary.push({ request, count, key: JSON.stringify([runtime, image.digest, spec]) });
    }
    functions?.keep(shared);
    const told = [...keptOrdinary.filter(({ key }) => !ordinary.some((kept) => kept.key === key))];
    for (const { request, count } of [...told.map((gone) => ({ ...gone, count: 0 })), ...ordinary]) {
      const runtime = request.runtime as RuntimeName;
      const purpose = { imageDigest: request.image.digest, runtime };
      keepOrdinary(interpreterOf[runtime], request, purpose, count);
    }
    keptOrdinary = ordinary;
  }

  return {
    keepWarm,

    async lease(request) {
      const { runtime, image, spec } = request;
      if (draining.has(image.digest)) throw removed(image.digest);
      const interpreter = runtime === undefined ? 'exec' : interpreterOf[runtime];
      const purpose: PoolPurpose = { imageDigest: image.digest, runtime };
      if (request.oci) return oci.lease(request.oci, interpreter, image.searchPath, spec, purpose);
      if (!functions || !request.function) return leaseOrdinary(interpreter, request, purpose);
      const sharing = { interpreter, image, spec, purpose, function: request.function };
      const shared = await functions.lease(sharing);
      // Asked again: a drain that began meanwhile has seen all pools but the one that comes now.
      if (!shared && draining.has(image.digest)) throw removed(image.digest);
      if (shared) return { sandbox: shared.sandbox, start: shared.start, sharedInitMs: shared.initMs };
      const lease = await leaseOrdinary(interpreter, request, purpose);
      return { ...lease, initialised: (ms) => functions.initialised(sharing, ms) };
    },

    list,

    living: () => [
      ...[...bases.values()].flatMap(({ tally }) => [...tally.living]),
      ...images.living(),
      ...(functions?.living() ?? []),
      ...oci.living(),
    ],

    async stats() {
      const group = (runtime: RuntimeName) => {
        const { tally, pools } = bases.get(interpreterOf[runtime]) as BaseZone;
        return tally.stats(pools.stats());
      };
      const [node, python, bash, image, of, walls] = await Promise.all([
        group('node'),
        group('python'),
        group('bash'),
        images.stats(),
        functions?.stats() ?? new Tally().stats([]),
        oci.stats(),
      ]);
      const groups = { node, python, bash, image, function: of, oci: walls };
      return { groups, parkedHeld: gate.held, parkedMax };
    },

    layersInUse: () => [...list().flatMap(({ sandbox }) => sandbox.layers), ...(functions?.layers() ?? [])],

    sandboxesOn: (imageDigest) => list().filter((listed) => listed.imageDigest === imageDigest).length,

    async drain(imageDigest) {
      const used = runtimes.filter((runtime) => options.images[runtime].digest === imageDigest);
      if (used.length > 0)
        throw new Error(`cannot drain image ${imageDigest}: ${used.join(' and ')} run on it on this node`);
      draining.add(imageDigest);
      const drains = [...bases.values()].map(({ pools }) => pools.drain(imageDigest));
      await Promise.all([
        ...drains,
        images.drain(imageDigest),
        functions?.drain(imageDigest),
        oci.drain(imageDigest),
      ]);
      return () => void draining.delete(imageDigest);
    },

    async close() {
      await Promise.all([
        images.close(),
        functions?.close(),
        oci.close(),
        ...[...bases.values()].map(async ({ keeper, pools }) => {
          // At once: what the pools have begun to make may wait for a zone to boot, which the keeper ends.
          await Promise.all([pools.close(), keeper.close()]);
        }),
      ]);
    },
  };
}

function openBase(runtime: RuntimeName, options: SandboxSourceOptions, gate: RefillGate): BaseZone {
  const image = options.images[runtime];
  const onError = (error: unknown) => options.onError(error, runtime);
  const { layers, searchPath } = image;
  const tally = new Tally();
  const open = (closed: AbortSignal) => {
    const stop = new AbortController();
    closed.addEventListener('abort', () => stop.abort(), { once: true, signal: stop.signal });
    return openRotatingZone({
      open: (signal) =>
        options.openZone({
          interpreter: interpreterOf[runtime],
          layers,
          searchPath,
          isTrusted: true,
          signal,
        }),
      stop,
      rotation: options.rotation ?? never,
      onRotated: () => pools.renew(),
      onError,
      tally,
    });
  };
  const keeper = new ZoneKeeper({ open, onError });
  const pools = new SpecPools({
    create: (spec) => keeper.create(spec),
    spareTarget: options.functionTarget,
    gate,
    idleMs: options.functionIdleMs,
    tally,
    onError,
  });
  return { image, keeper, pools, tally };
}

async function leaseFrom(
  { keeper, pools, tally }: BaseZone,
  spec: SandboxSpec,
  purpose: PoolPurpose,
): Promise<LeasedSandbox> {
  const { isOpen, boots } = keeper;
  const lease = await pools.lease(spec, purpose);
  const waitedForBoot = lease.start === 'fork' && (!isOpen || keeper.boots !== boots);
  if (!waitedForBoot) return lease;
  tally.coldLeases += 1;
  return { ...lease, start: 'cold' };
}

function standsOn(layers: readonly string[], base: readonly string[]): boolean {
  const above = layers.length - base.length;
  return above >= 0 && base.every((layer, index) => layers[above + index] === layer);
}

function removed(imageDigest: string): SandboxLostError {
  return new SandboxLostError(`image ${imageDigest} is being removed from this node`);
}
