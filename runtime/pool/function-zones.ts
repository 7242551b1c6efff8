import type { Image } from '../image/image.ts';
import type { FunctionInit } from '../interpreters/program-job.ts';
import { type Sandbox, SandboxLostError, type SandboxSpec, type Zone } from '../sandbox/sandbox.ts';
import { type BootSlot, BootSlots } from './boot-slots.ts';
import type { ZoneRequest } from './image-zones.ts';
import type { RefillGate } from './refill-gate.ts';
import { RentOrBuy } from './rent-or-buy.ts';
import type { Rotation } from './rotating-zone.ts';
import type { ListedSandbox, PoolPurpose } from './spec-pools.ts';
import { type GroupStats, Tally } from './stats.ts';
import type { Lease } from './warm-pool.ts';
import { isInUse, type ShelvedZone, ZoneShelf } from './zone-shelf.ts';

/** Versions remembered for the log. */
const maxVersions = 1024;
/** What an interpreter has of its own, beside what the function's cap on memory is for, bytes. */
const interpreterBytes = 128 * 1024 * 1024;
/** What the kernel spends on forks, under the zygote's cap, bytes. */
const forksBytes = 256 * 1024 * 1024;
/** What a parked fork may have, as the agent limits it: initialisation may have left code that runs in it, bytes. */
export const parkedBytes = 32 * 1024 * 1024;
/** One zygote may have no more than this share of all of theirs. */
const shareMax = 1 / 2;
/** A fork that takes longer is not waited for. */
const forkWithinMs = 5_000;
/** How often a zygote that is used is asked what it has by now, milliseconds. */
const lookEveryMs = 5_000;

/** A version of a function, for which a zygote may be booted. */
export interface FunctionVersionRequest {
  tenant: string;
  name: string;
  version: number;
  /** Of its image: says handler, environment and limits. */
  digest: string;
  init: FunctionInit;
  /** The cap of its invocations: initialisation may not take more, bytes. */
  memoryBytes: number;
}

/** A sandbox request of such a version, as far as it concerns its zone. */
export interface FunctionSandboxRequest {
  interpreter: Zone['interpreter'];
  image: Image & { searchPath: string };
  spec: SandboxSpec;
  purpose: PoolPurpose;
  function: FunctionVersionRequest;
}

export interface FunctionZonesOptions {
  openZone: (request: ZoneRequest) => Promise<Zone>;
  /** Zones open at once. */
  max: number;
  /**
   * What their zygotes may have together; beyond it, those that were used longest ago are closed. What is parked of them
   * may have as much once more.
   */
  memoryBytes: number;
  spareTarget: number;
  gate: RefillGate;
  /** As long as its pools live without use, so does a zone, milliseconds. */
  idleMs: number;
  rotation: Rotation;
  /** Whether the image is about to go. */
  isDraining: (imageDigest: string) => boolean;
  /** Told once of each reason why a version goes without a zygote. */
  onUnfit: (reason: string, version: Pick<FunctionVersionRequest, 'name' | 'version'>) => void;
  onError: (error: unknown, what: string) => void;
  /** Has as many parked for a version that has no zygote, for the time being; 0: none any more. */
  keepOrdinary: (request: FunctionSandboxRequest, count: number) => void;
}

/** A version of which so many sandboxes are to be parked at all times. */
export interface KeptVersion<Request = FunctionSandboxRequest> {
  request: Request;
  count: number;
}

interface Serving {
  memoryBytes: number;
  lookedAtMs: number;
  version: FunctionVersionRequest;
}

/**
 * Zones of functions, whose zygotes have initialised. Each belongs to one version of one function, by tenant and name: two functions
 * with equal code, which may be two callers', share nothing that has run it. They are booted in the background when it pays (RentOrBuy), and
 * nobody ever waits for one: what has none, or cannot have one, starts the ordinary way.
 */
export class FunctionZones {
  readonly #options: FunctionZonesOptions;
  readonly #shelf: ZoneShelf;
  readonly #rent: RentOrBuy;
  readonly #tally = new Tally();
  readonly #serving = new Map<ShelvedZone, Serving>();
  /** By key: what was last said of it. */
  readonly #versions = new Map<string, { version: FunctionVersionRequest; reason?: string }>();
  readonly #slots = new BootSlots();
  /** By key. */
  #kept = new Map<string, KeptVersion>();

  constructor(options: FunctionZonesOptions) {
    this.#options = options;
    this.#rent = new RentOrBuy(options.idleMs);
    this.#shelf = new ZoneShelf({
      ...options,
      tally: this.#tally,
      budget: { held: 0, max: Math.floor(options.memoryBytes / parkedBytes) },
      backoffMs: { first: 5_000, max: 3_600_000 },
      onNoSuccessor: options.onError,
      onError: (error, key) => this.#report(error, key),
    });
  }

  /** Undefined when the version has no zygote that is ready, or has just lost it. */
  async lease(request: FunctionSandboxRequest): Promise<(Lease & { initMs: number }) | undefined> {
    const entry = this.#shelf.get(keyOf(request));
    const serving = entry && this.#serving.get(entry);
    if (!entry || !serving) return undefined;
    this.#supersede(request.function);
    this.#lookAgain(entry, serving);
    const leasing = this.#shelf.lease(entry, request.spec, request.purpose);
    try {
      const lease = await atMost(forkWithinMs, leasing);
      if (lease) return { ...lease, initMs: entry.opened?.initMs ?? 0 };
      // It may come yet.
      leasing.then(({ sandbox }) => sandbox.kill()).catch(() => {});
      void this.#fail(entry, `its zygote did not fork within ${forkWithinMs} ms`);
    } catch (error) {
      // Closed meanwhile, and nothing is wrong with it; or a fork failed, and the next would.
      if (this.#shelf.get(entry.key) === entry) void this.#fail(entry, (error as Error).message);
    }
    return undefined;
  }

  /** An ordinary start has spent so long on initialisation. May boot a zygote for those to come. */
  initialised(request: FunctionSandboxRequest, ms: number): void {
    const key = keyOf(request);
    this.#supersede(request.function);
    if (this.#rent.pay(key, ms) && this.#isWanted(key, request)) void this.#bootInTurn(key, request);
  }

  /**
   * From now on so many are parked of these versions, and of no others; to be called again every so often, for what did not
   * boot is tried again then. A version that is kept no more goes when its successor has all of its own.
   */
  keep(wanted: readonly KeptVersion[]): void {
    const before = this.#kept;
    this.#kept = new Map(wanted.map((version) => [keyOf(version.request), version]));
    const waiting = new Set<string>();
    for (const [key, version] of this.#kept)
      if (!this.#keepOne(key, version)) waiting.add(ownerOf(version.request.function));
    for (const [key, version] of before) {
      if (this.#kept.has(key)) continue;
      if (this.#kept.size > 0 && waiting.has(ownerOf(version.request.function))) this.#kept.set(key, version);
      else this.#letGo(key, version);
    }
  }

  /** Whether nothing is missing, or nothing more can be had. */
  #keepOne(key: string, { request, count }: KeptVersion): boolean {
    const { spec, purpose } = request;
    const entry = this.#shelf.get(key);
    if (entry && this.#serving.has(entry)) {
      entry.isKept = true;
      entry.pools.keepWarm(spec, purpose, count);
      this.#options.keepOrdinary(request, 0);
      return entry.pools.parked(spec, purpose) >= count;
    }
    if (this.#isWanted(key, request)) void this.#bootInTurn(key, request);
    const isRefused = this.#shelf.refusalOf(key) !== undefined;
    // Or it has a zygote that does not serve.
    if (isRefused || entry?.opened) this.#options.keepOrdinary(request, count);
    return isRefused;
  }

  #letGo(key: string, { request }: KeptVersion): void {
    const entry = this.#shelf.get(key);
    this.#options.keepOrdinary(request, 0);
    if (!entry) return;
    entry.isKept = false;
    const isReplaced = [...this.#kept.values()].some(
      (kept) => ownerOf(kept.request.function) === ownerOf(request.function),
    );
    if (isReplaced && !isInUse(entry)) this.#forget(entry);
    else entry.pools.keepWarm(request.spec, request.purpose, 0);
  }

  list(): ListedSandbox[] {
    return this.#shelf.list();
  }

  living(): Iterable<Sandbox> {
    return this.#tally.living;
  }

  stats(): Promise<GroupStats> {
    return this.#tally.stats(this.#shelf.stats());
  }

  /** Layers under zygotes, in hex: some have no sandbox at present. */
  layers(): string[] {
    return this.#shelf.all().flatMap(({ key }) => key.split(' ').slice(5));
  }

  drain(imageDigest: string): Promise<void> {
    return this.#shelf.drain(imageDigest);
  }

  close(): Promise<void> {
    this.#slots.close();
    return this.#shelf.closeAll();
  }

  #isWanted(key: string, { image }: FunctionSandboxRequest): boolean {
    const isThere = this.#shelf.get(key) !== undefined || this.#shelf.refusalOf(key) !== undefined;
    return !isThere && !this.#options.isDraining(image.digest);
  }

  async #bootInTurn(key: string, request: FunctionSandboxRequest): Promise<void> {
    const first = await this.#slots.enter(ownerOf(request.function));
    if (!first) return;
    // Much may have changed while it waited.
    const hasRoom = () => this.#shelf.size < this.#options.max || this.#closeOldest();
    if (!this.#isWanted(key, request) || !hasRoom()) return first.end();
    this.#rent.settle(key);
    await this.#boot(key, request, first);
  }

  async #boot(key: string, request: FunctionSandboxRequest, first: BootSlot): Promise<void> {
    const { image, function: version } = request;
    let slot: BootSlot | undefined = first;
    this.#remember(key, version);
    const entry = this.#shelf.open(key, image.digest, async (signal) => {
      const turn = slot ?? (await this.#slots.enter(ownerOf(version), signal));
      slot = undefined;
      if (!turn) throw new SandboxLostError('its function boots another zygote, or too many others do');
      try {
        return await this.#openZone(request, signal, turn.signal);
      } finally {
        turn.end();
      }
    });
    try {
      const zone = await entry.zone;
      void zone.closed.then(() => this.#serving.delete(entry));
      await this.#look(entry, { version, memoryBytes: 0, lookedAtMs: performance.now() });
    } catch {
      // The shelf has been told why.
    }
  }

  async #openZone(request: FunctionSandboxRequest, wanted: AbortSignal, turn: AbortSignal): Promise<Zone> {
    const { interpreter, image, spec, function: version } = request;
    try {
      return await this.#options.openZone({
        signal: AbortSignal.any([wanted, turn]),
        interpreter,
        layers: spec.layers,
        searchPath: image.searchPath,
        init: version.init,
        zygoteMemoryBytes: allowedBytes(version) + forksBytes,
      });
    } catch (error) {
      if (turn.aborted) throw new SandboxLostError(turn.reason.message, { cause: error });
      throw error;
    }
  }

  #lookAgain(entry: ShelvedZone, serving: Serving): void {
    const now = performance.now();
    if (now - serving.lookedAtMs < lookEveryMs) return;
    serving.lookedAtMs = now;
    this.#look(entry, serving).catch(() => {}); // the zone has gone, and the shelf knows
  }

  /** Asks what the zygote has, which is not more than it may; it serves, unless it is one too many. */
  async #look(entry: ShelvedZone, serving: Serving): Promise<void> {
    const { memoryBytes } = await (await entry.zone).memory();
    if (this.#shelf.get(entry.key) !== entry) return;
    const budget = this.#options.memoryBytes;
    const allowed = Math.min(allowedBytes(serving.version), budget * shareMax);
    if (memoryBytes > allowed) {
      const reason = `its zygote has ${memoryBytes} bytes, more than the ${allowed} allowed`;
      return this.#fail(entry, reason);
    }
    serving.memoryBytes = memoryBytes;
    this.#serving.set(entry, serving);
    const taken = () => [...this.#serving.values()].reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    while (taken() > budget) {
      const oldest = this.#shelf.idleLongest();
      // In use, all of the others.
      if (!oldest || oldest === entry)
        return this.#fail(entry, `no room: zygotes may have ${budget} bytes together`);
      this.#forget(oldest);
    }
  }

  /** It serves no more. What runs in its zone goes on, and the zone goes when it has been idle. */
  async #fail(entry: ShelvedZone, reason: string): Promise<void> {
    this.#serving.delete(entry);
    const error = new SandboxLostError(reason);
    if (isInUse(entry)) this.#report(error, entry.key);
    else await this.#shelf.fail(entry, error);
  }

  #closeOldest(): boolean {
    const oldest = this.#shelf.idleLongest();
    if (oldest) this.#forget(oldest);
    return oldest !== undefined;
  }

  #forget(entry: ShelvedZone): void {
    this.#serving.delete(entry);
    void this.#shelf.close(entry);
  }

  /** A newer version of the function is in use: zygotes of older ones go as soon as nothing of them runs. */
  #supersede(used: FunctionVersionRequest): void {
    for (const [entry, { version }] of this.#serving)
      if (
        ownerOf(version) === ownerOf(used) &&
        version.version < used.version &&
        !isInUse(entry) &&
        !entry.isKept
      )
        this.#forget(entry);
  }

  #report(error: unknown, key: string): void {
    const known = this.#versions.get(key);
    const reason = error instanceof Error ? error.message : String(error);
    if (!known) this.#options.onError(error, key);
    else if (known.reason !== reason) {
      known.reason = reason;
      this.#options.onUnfit(reason, known.version);
    }
  }

  #remember(key: string, version: FunctionVersionRequest): void {
    this.#versions.set(key, { ...this.#versions.get(key), version });
    const [oldest] = this.#versions.keys();
    if (this.#versions.size > maxVersions) this.#versions.delete(oldest as string);
  }
}

/** Whom turns are given to, and whose versions succeed each other. */
function ownerOf({ tenant, name }: FunctionVersionRequest): string {
  return `${tenant} ${name}`;
}

function keyOf({
  interpreter,
  spec,
  function: { tenant, name, version, digest },
}: FunctionSandboxRequest): string {
  return `${tenant} ${name} ${version} ${interpreter} ${digest} ${spec.layers.join(' ')}`;
}

function allowedBytes({ memoryBytes }: FunctionVersionRequest): number {
  return memoryBytes + interpreterBytes;
}

/** Resolves with undefined when it takes longer. */
async function atMost<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
