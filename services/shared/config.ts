import { createHash } from 'node:crypto';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import {
  defaultLimits,
  type LimitName,
  type Limits,
  limitTable,
  wireMaxima,
} from '../../sdk/contract/limits.ts';
import { parseNetworks } from '../callbacks/address-rules.ts';
import { parseOtlpHeaders } from '../telemetry/otlp-headers.ts';
import { isLoopback } from './loopback.ts';

const MiB = 1024 * 1024;
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

const key = z
  .string()
  .regex(/^(?:[A-Za-z0-9+/]{43}=)?$/, 'must be 32 bytes in base64')
  .default('');

/** Every setting: an environment variable, its range and its default. The table of docs/reference.md is checked against it. */
export const configSchema = z.object({
  ONCEBOX_HOST: z.string().default('127.0.0.1').describe('address the gateway listens on'),
  ONCEBOX_PORT: integer(0, 65_535).default(8080).describe('port the gateway listens on; 0 picks one'),
  ONCEBOX_AUTH: z
    .enum(['auto', 'required', 'open'])
    .default('auto')
    .describe('whether requests need a key; auto: unless ONCEBOX_HOST is a loopback address'),
  ONCEBOX_ADMIN_KEY: z
    .string()
    .regex(/^(ocb_[a-z0-9]{1,32}_[A-Za-z0-9]{32,128})?$/, 'must be of the form ocb_<id>_<secret>')
    .default('')
    .describe('a key that opens all, ocb_<id>_<secret>; empty: one is made where keys are needed'),
  ONCEBOX_CORS_ORIGINS: z
    .string()
    .refine(areOrigins, 'must be origins such as https://app.example.org with commas between, or *')
    .default('')
    .describe(
      'origins whose pages may call the gateway, such as https://app.example.org, with commas; `*`: all; empty: none but its own',
    ),
  ONCEBOX_DATA_DIR: z
    .string()
    .startsWith('/')
    .default('/var/lib/oncebox')
    .describe('absolute path of images, layers, Redis data and sockets'),
  ONCEBOX_STORE_DIR: z
    .string()
    .startsWith('/')
    .optional()
    .describe('absolute path of images and layers; `store` in the data directory unless set'),
  ONCEBOX_REDIS_URL: z
    .string()
    .default('')
    .describe('Redis to use, such as redis://10.0.0.5:6379; empty: an embedded one'),
  ONCEBOX_REDIS_MEMORY_BYTES: integer(8 * MiB, Number.MAX_SAFE_INTEGER)
    .default(Math.floor(totalmem() / 8))
    .describe(
      "what the embedded Redis may hold, bytes: queue, records and functions' code; an eighth of the machine's memory unless set",
    ),
  ONCEBOX_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('least level that is logged'),
  ONCEBOX_OTLP_ENDPOINT: z
    .union([z.literal(''), z.url({ protocol: /^https?$/ })])
    .default('')
    .describe(
      'OTLP/HTTP collector that gets traces, such as http://127.0.0.1:4318; OTEL_EXPORTER_OTLP_ENDPOINT unless set; empty: none',
    ),
  ONCEBOX_OTLP_HEADERS: z
    .string()
    .refine(areHeaders, 'must be name=value pairs with commas, values percent-encoded')
    .default('')
    .describe(
      'headers for that collector, such as a key: name=value pairs with commas, values percent-encoded; OTEL_EXPORTER_OTLP_HEADERS unless set; in no log',
    ),
  ONCEBOX_POOL_NODE: integer(0, 1000)
    .default(8)
    .describe('parked node sandboxes kept when idle; 0: none ever'),
  ONCEBOX_POOL_PYTHON: integer(0, 1000)
    .default(8)
    .describe('parked python sandboxes kept when idle; 0: none ever'),
  ONCEBOX_POOL_BASH: integer(0, 1000)
    .default(4)
    .describe('parked bash sandboxes kept when idle; 0: none ever'),
  ONCEBOX_POOL_FUNCTION: integer(0, 1000)
    .default(2)
    .describe('parked sandboxes kept for each function version in use; 0: none ever'),
  ONCEBOX_POOL_FUNCTION_IDLE_MS: integer(100, 86_400_000)
    .default(60_000)
    .describe('a function version not called for so long gives its parked sandboxes back, milliseconds'),
  ONCEBOX_ZYGOTE_MEMORY_BYTES: integer(0, Number.MAX_SAFE_INTEGER)
    .default(Math.floor(totalmem() / 8))
    .describe(
      "what the zygotes of functions may have together, and once more what is parked of them, bytes; 0: there are none; an eighth of the machine's memory unless set",
    ),
  ONCEBOX_ZYGOTE_FORKS_MAX: integer(10, 10_000_000)
    .default(10_000)
    .describe('sandboxes that are forked from one zygote before a new one takes its place'),
  ONCEBOX_ZYGOTE_AGE_MS: integer(1000, 604_800_000)
    .default(3_600_000)
    .describe('how long a zygote serves before a new one takes its place, milliseconds'),
  ONCEBOX_READY_MS: integer(1000, 3_600_000)
    .default(30_000)
    .describe('what a zygote may take to be ready, with the initialisation of its function, milliseconds'),
  ONCEBOX_IO_BYTES_PER_SECOND: integer(0, Number.MAX_SAFE_INTEGER)
    .default(0)
    .describe('what a zone, and a build, may read and write of the disk a second, bytes; 0: not throttled'),
  ONCEBOX_POOL_MAX: integer(0, 100_000)
    .default(256)
    .describe('parked sandboxes of all pools together, about 1.5 MiB each; pools grow with demand'),
  ONCEBOX_CONCURRENCY: integer(1, 10_000)
    .default(cpus().length * 16)
    .describe('invocations a worker runs at once; 16 a core unless set'),
  ONCEBOX_MEMORY_BYTES: integer(64 * MiB, Number.MAX_SAFE_INTEGER)
    .default(Math.floor(totalmem() * 0.75))
    .describe('sum of the memory caps a worker lets run at once, bytes; 75 % of the machine unless set'),
  ONCEBOX_QUEUE_MAX: integer(1, 1_000_000)
    .default(10_000)
    .describe(
      "invocations waiting before new ones get a 429; those that a function's cap or a tenant's share holds are counted apart, for each",
    ),
  ONCEBOX_BODY_MAX_BYTES: integer(1024, 1024 * MiB)
    .default(10 * MiB)
    .describe('largest request body, which bounds a function bundle too, bytes'),
  ONCEBOX_IMAGE_MAX_BYTES: integer(1024, Number.MAX_SAFE_INTEGER)
    .default(8192 * MiB)
    .describe('largest archive or build context that can be uploaded, bytes'),
  ONCEBOX_STREAMS_MAX: integer(1, 1_000_000)
    .default(1000)
    .describe(
      'connections of one tenant that a gateway holds open, for events, logs and streamed results, before new ones get a 429',
    ),
  ONCEBOX_RECORDS_KEPT: integer(0, 1_000_000)
    .default(1000)
    .describe('finished invocations of each tenant that stay readable'),
  ONCEBOX_RECORDS_KEPT_MS: integer(1000, 30 * 86_400_000)
    .default(3_600_000)
    .describe('how long a finished invocation stays readable, milliseconds'),
  ONCEBOX_CALLBACK_ALLOW: z
    .string()
    .default('')
    .superRefine(refuseOtherThanNetworks)
    .describe(
      'networks that callbacks may go to besides the Internet: CIDRs with commas, such as 10.1.0.0/16,fd00::/8',
    ),
  ONCEBOX_DEAD_LETTERS_KEPT: integer(0, 1_000_000)
    .default(1000)
    .describe('asynchronous invocations of functions that did not end ok and are kept to be run again'),
  ONCEBOX_DEAD_LETTERS_KEPT_MS: integer(1000, 90 * 86_400_000)
    .default(7 * 86_400_000)
    .describe('how long such an invocation is kept, milliseconds'),
  ONCEBOX_FILES_MAX_BYTES: integer(0, 512 * MiB)
    .default(16 * MiB)
    .describe("largest archive of an invocation's files that is kept with its record, bytes"),
  ONCEBOX_SECRETS_KEY: key.describe(
    'private key of the secrets, 32 bytes in base64, the same on all machines of one Redis; empty: one is made in the data directory',
  ),
  ONCEBOX_SECRETS_PUBLIC_KEY: key.describe(
    'what a gateway without the private key seals secrets with, in base64; npm start sets it',
  ),
  ONCEBOX_SERVICE_ID: integer(1, 4_294_967_293)
    .default(1_879_113_728)
    .describe(
      'user and group id that the worker takes on when started by root; the gateway: the next user, the same group',
    ),
  ONCEBOX_DEFAULT_LIMITS: limitsFromEnv('default').describe(
    'caps where a request gives none: name=value pairs with commas, such as wallMs=5000,pids=32',
  ),
  ONCEBOX_MAX_LIMITS: limitsFromEnv('max').describe('the most a request may ask for, in the same form'),
});

type Environment = z.infer<typeof configSchema>;

export interface Config extends Environment {
  storeDir: string;
  runDir: string;
  /** Where the worker serves the node API. */
  nodeSocket: string;
  redisDir: string;
  /** Whether requests need a key. */
  needsKeys: boolean;
  /** Where the admin key is that was made for this instance. */
  adminKeyFile: string;
  /** Distinguishes instances with different data directories on one host, and on one Redis. */
  instance: string;
}

/** Parses the environment. Throws a ZodError naming the variable. The only reader of `process.env`. */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const ours = Object.fromEntries(
    Object.entries(environment).filter(([name]) => name.startsWith('ONCEBOX_')),
  );
  // The name that other programs read, for those who set it for all of a machine.
  ours.ONCEBOX_OTLP_ENDPOINT ??= environment.OTEL_EXPORTER_OTLP_ENDPOINT;
  ours.ONCEBOX_OTLP_HEADERS ??= environment.OTEL_EXPORTER_OTLP_HEADERS;
  const parsed = configSchema.parse(ours);
  // What a service starts has it not.
  if (environment === process.env) {
    for (const name of ['ONCEBOX_SECRETS_KEY', 'ONCEBOX_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_HEADERS'])
      delete process.env[name];
  }
  // What no worker could ever have room for is refused when it is asked for.
  const maxima = parsed.ONCEBOX_MAX_LIMITS;
  maxima.memoryBytes = Math.min(maxima.memoryBytes, parsed.ONCEBOX_MEMORY_BYTES);
  const defaults = parsed.ONCEBOX_DEFAULT_LIMITS;
  for (const name of Object.keys(defaults) as LimitName[])
    defaults[name] = Math.min(defaults[name], maxima[name]);
  const runDir = join(parsed.ONCEBOX_DATA_DIR, 'run');
  return {
    ...parsed,
    storeDir: parsed.ONCEBOX_STORE_DIR ?? join(parsed.ONCEBOX_DATA_DIR, 'store'),
    runDir,
    nodeSocket: join(runDir, 'node.sock'),
    redisDir: join(parsed.ONCEBOX_DATA_DIR, 'redis'),
    needsKeys: needsKeys(parsed),
    adminKeyFile: join(parsed.ONCEBOX_DATA_DIR, 'admin-key'),
    instance: createHash('sha256').update(parsed.ONCEBOX_DATA_DIR).digest('hex').slice(0, 8),
  };
}

function needsKeys({ ONCEBOX_AUTH: auth, ONCEBOX_HOST: host }: Environment): boolean {
  if (auth !== 'auto') return auth === 'required';
  return !isLoopback(host);
}

function refuseOtherThanNetworks(text: string, context: z.RefinementCtx): void {
  try {
    parseNetworks(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
}

function areHeaders(text: string): boolean {
  try {
    parseOtlpHeaders(text);
    return true;
  } catch {
    return false;
  }
}

/** As a browser sends them: without a path, in lower case. */
function areOrigins(text: string): boolean {
  const isOrigin = (part: string) => URL.canParse(part) && new URL(part).origin === part;
  return ['', '*'].includes(text) || text.split(',').every((part) => isOrigin(part.trim()));
}

function limitsFromEnv(kind: 'default' | 'max') {
  return z
    .string()
    .default('')
    .transform((text, context): Limits => {
      const limits = kind === 'default' ? defaultLimits() : wireMaxima();
      for (const pair of text.split(',').filter((part) => part.trim() !== '')) {
        const [name = '', value = ''] = pair.split('=').map((part) => part.trim());
        const range = Object.hasOwn(limitTable, name) ? limitTable[name as LimitName] : undefined;
        const number = Number(value);
        if (range === undefined || value === '' || !(number >= range.min && number <= range.max)) {
          context.addIssue({
            code: 'custom',
            message: `"${pair}" is not a known limit with a value in range`,
          });
          return z.NEVER;
        }
        limits[name as LimitName] = number;
      }
      return limits;
    });
}
