import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';
import { type Client, createClient } from '../client.ts';
import { CliError } from './cli-error.ts';
import { patientFetch } from './patient-fetch.ts';

/** What a command line runs in: the process's own streams, or a test's. */
export interface Io {
  stdin: Readable & { isTTY?: boolean; fd?: number };
  stdout: Writable;
  stderr: Writable & { isTTY?: boolean; columns?: number };
  env: NodeJS.ProcessEnv;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

export const defaultUrl = 'http://127.0.0.1:8080';

/** The only place that reads the environment; empty is as good as unset. */
const environmentSchema = z.object({
  ONCEBOX_URL: z.string().optional(),
  /** For registries; the options win. */
  ONCEBOX_REGISTRY_USERNAME: z.string().optional(),
  ONCEBOX_REGISTRY_PASSWORD: z.string().optional(),
});

/** One command line under way: where it talks to, and how it answers. */
export class Session {
  readonly io: Io;
  readonly environment: z.infer<typeof environmentSchema>;
  url = defaultUrl;
  json = false;
  exitCode = 0;

  constructor(io: Io) {
    this.io = io;
    this.environment = environmentSchema.parse(
      Object.fromEntries(Object.entries(io.env).filter(([, value]) => value !== '')),
    );
  }

  begin(options: { url?: string; json?: boolean }): void {
    this.json = options.json ?? false;
    this.url = options.url ?? this.environment.ONCEBOX_URL ?? defaultUrl;
    const parsed = URL.canParse(this.url) ? new URL(this.url) : undefined;
    if (parsed === undefined || !['http:', 'https:'].includes(parsed.protocol)) {
      throw new CliError(
        `cannot use "${this.url}" as the platform's address: it must look like ${defaultUrl}`,
        2,
      );
    }
  }

  get client(): Client {
    return createClient(this.url, { fetch: patientFetch });
  }

  get signal(): { signal: AbortSignal } {
    return { signal: this.io.signal };
  }

  /** Writes `value` as JSON with `--json`, else what `text` makes of it; an empty text writes nothing. */
  print<T>(value: T, text: (value: T) => string): void {
    const shown = this.json ? JSON.stringify(value, null, 2) : text(value);
    if (shown !== '') this.io.stdout.write(`${shown}\n`);
  }

  /** For people, beside the output. */
  note(text: string): void {
    this.io.stderr.write(`${text}\n`);
  }
}
