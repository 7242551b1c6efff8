import type { Image } from '../../runtime/image/image.ts';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { type Sandbox, SandboxLostError, scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { type LoadRuntime, leastProgram } from '../workloads/snippets.ts';

const atOnce = 8;
/** Of what a zone could hold before it went, so many are given to each of the next. */
const safeShare = 0.75;

interface Options {
  runtime: LoadRuntime;
  storeDir: string;
  launcherSocket: string;
  onNote: (text: string) => void;
  signal: AbortSignal;
}

/** Sandboxes that all live at once, parked, in one zone or, when one zone cannot hold them, in several. */
export class ParkedPopulation {
  readonly #options: Options;
  readonly #image: Image;
  #zones: Zone[] = [];
  #parked: Sandbox[] = [];
  #perZone = Number.POSITIVE_INFINITY;

  /** Resolves when the first zone is ready. */
  static async open(options: Options): Promise<ParkedPopulation> {
    const population = new ParkedPopulation(
      options,
      await openStore(options.storeDir).resolve(options.runtime),
    );
    await population.#openZone();
    return population;
  }

  private constructor(options: Options, image: Image) {
    this.#options = options;
    this.#image = image;
  }

  /** Parks until there are `count`, and resolves with how many there are: fewer, when a second attempt fails too. */
  async grow(count: number): Promise<number> {
    for (let attempt = 1; attempt <= 2; attempt++) {
      try {
        await this.#growTo(count);
        break;
      } catch (error) {
        if (!(error instanceof SandboxLostError)) throw error;
        const reached = this.#parked.length;
        this.#options.onNote(`a zone was lost with ${reached} sandboxes parked: ${error.message}`);
        if (attempt === 2) break;
        await this.#restart(Math.max(1, Math.floor((reached / this.#zones.length) * safeShare)));
      }
    }
    return this.#parked.length;
  }

  /** Gives each its job and resolves with how many gave the right answer. None is left. */
  async askAll(): Promise<number> {
    const { program, stdout } = leastProgram(this.#options.runtime);
    const limits = defaultLimits();
    const asked = this.#parked.splice(0);
    let answering = 0;
    await inParallel(asked, async (sandbox) => {
      this.#options.signal.throwIfAborted();
      try {
        const report = await sandbox.run({ program, limits, stdin: new Uint8Array() });
        await sandbox.dead;
        const isRight = outcomeOf(report, program, limits).status === 'ok';
        if (isRight && Buffer.from(report.stdout).toString() === stdout) answering += 1;
      } catch (error) {
        if (!(error instanceof SandboxLostError)) throw error;
      }
    });
    return answering;
  }

  async close(): Promise<void> {
    await Promise.all(this.#zones.map((zone) => zone.close()));
    this.#zones = [];
    this.#parked = [];
  }

  async #growTo(count: number): Promise<void> {
    const spec = scratchSpec(this.#image.layers);
    while (this.#zones.length * this.#perZone < count) await this.#openZone();
    const missing = Array.from({ length: count - this.#parked.length }, (_, index) => index);
    await inParallel(missing, async (index) => {
      this.#options.signal.throwIfAborted();
      const zone = this.#zones[index % this.#zones.length] as Zone;
      this.#parked.push(await zone.create(spec));
    });
  }

  async #restart(perZone: number): Promise<void> {
    await this.close();
    this.#perZone = perZone;
    this.#options.onNote(`trying again with zones of at most ${perZone}`);
    await this.#openZone();
  }

  async #openZone(): Promise<void> {
    const { runtime, launcherSocket } = this.#options;
    const { layers } = this.#image;
    this.#zones.push(
      await openZone({
        launcherSocket,
        interpreter: runtime,
        layers,
        searchPath: defaultSearchPath,
        isTrusted: true,
      }),
    );
  }
}

/** Rejects with the first failure once all that was begun has ended. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    while (next < items.length && !failure) {
      try {
        await work(items[next++] as T);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failure) throw failure.error;
}
