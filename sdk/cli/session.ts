import type { Readable, Writable } from 'node:stream';
import type { Client } from '../client.ts';
import type { ClientOptions } from '../send.ts';
import { CliError } from './cli-error.ts';
import type { Environment } from './environment.ts';

/** What a command line runs in: the process's own streams, or a test's. */
export interface Io {
  stdin: Readable & { isTTY?: boolean; fd?: number };
  stdout: Writable & { isTTY?: boolean };
  stderr: Writable & { isTTY?: boolean; columns?: number };
  env: NodeJS.ProcessEnv;
  /** Aborted by Ctrl-C, and by SIGTERM with a `Terminated` as its reason. */
  signal: AbortSignal;
  /** Takes the first Ctrl-C, instead of that. */
  onInterrupt?: (() => void) | undefined;
}

export const defaultUrl = 'http://127.0.0.1:8080';

/** Whoever waits at a terminal is told at once that nothing listens there; a refusal of seconds is waited for. */
const retries = { count: 1, withinMs: 5_000, backoffMs: 100 };

interface GlobalOptions {
  url?: string;
  key?: string;
  json?: boolean;
}

type Connect = (options?: Pick<ClientOptions, 'fetch'>) => Client;

/** One command line under way: where it talks to, and how it answers. */
export class Session {
  readonly io: Io;
  url = defaultUrl;
  json = false;
  exitCode = 0;
  #environment: Environment | undefined;
  #connect: Connect | undefined;
  #client: Client | undefined;

  constructor(io: Io) {
    this.io = io;
  }

  /** Before a command acts. What asks the platform is loaded here: a help text needs none of it. */
  async begin(options: GlobalOptions): Promise<void> {
    const [{ parseEnvironment }, { createClient }, { patientFetch }] = await Promise.all([
      import('./environment.ts'),
      import('../client.ts'),
      import('./patient-fetch.ts'),
    ]);
    const environment = parseEnvironment(this.io.env);
    this.#environment = environment;
    this.json = options.json ?? false;
    this.url = options.url ?? environment.ONCEBOX_URL ?? defaultUrl;
    const parsed = URL.canParse(this.url) ? new URL(this.url) : undefined;
    if (parsed === undefined || !['http:', 'https:'].includes(parsed.protocol)) {
      throw new CliError(
        `cannot use "${this.url}" as the platform's address: it must look like ${defaultUrl}`,
        2,
      );
    }
    const apiKey = options.key ?? environment.ONCEBOX_API_KEY;
    this.#connect = ({ fetch = patientFetch } = {}) =>
      createClient(this.url, { fetch, retries, ...(apiKey !== undefined && { apiKey }) });
  }

  get environment(): Environment {
    return begun(this.#environment);
  }

  get client(): Client {
    this.#client ??= this.connect();
    return this.#client;
  }

  /** A client of its own, such as one whose uploads are watched. */
  connect(options?: Pick<ClientOptions, 'fetch'>): Client {
    return begun(this.#connect)(options);
  }

  get signal(): { signal: AbortSignal } {
    return { signal: this.io.signal };
  }

  /** Writes `value` as JSON with `--json`, else what `text` makes of it; an empty text writes nothing. */
  print<T>(value: T, text: (value: T) => string): void {
    const shown = this.json ? JSON.stringify(value, null, 2) : text(value);
    if (shown !== '') this.io.stdout.write(`${shown}\n`);
  }

  /** As `print`, for answers that come one after the other: a line of JSON each. */
  printLine<T>(value: T, text: (value: T) => string): void {
    const shown = this.json ? JSON.stringify(value) : text(value);
    if (shown !== '') this.io.stdout.write(`${shown}\n`);
  }

  /** For people, beside the output. */
  note(text: string): void {
    this.io.stderr.write(`${text}\n`);
  }
}

function begun<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the session has not begun');
  return value;
}
