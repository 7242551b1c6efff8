import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import type { FunctionVersion } from '../../../sdk/contract/function.ts';
import type { Limits } from '../../../sdk/contract/limits.ts';
import { handlerLabel, runtimeLabel } from '../../registry/lambda-environment.ts';
import { resolveLimits } from '../resolve-limits.ts';
import { invalidParameter } from './errors.ts';
import { arnOf, latest } from './function-name.ts';
import type { Configuration } from './requests.ts';

const MiB = 1024 * 1024;
/** What a program finds at AWS, where the node allows as much. */
const lambdaDefaults = { Timeout: 3, MemorySize: 128, diskBytes: 512 * MiB, pids: 1024 };
/** What Lambda says of a version and the platform has no use for, as labels. */
export const labels = {
  role: 'aws.role',
  description: 'aws.description',
  runtime: runtimeLabel,
  handler: handlerLabel,
  codeSha256: 'aws.codeSha256',
  codeSize: 'aws.codeSize',
  imageUri: 'aws.imageUri',
  /** JSON of what takes the place of the image's own command. */
  imageConfig: 'aws.imageConfig',
  /** Put on a version when it is published; the value is its description. */
  published: 'aws.published',
} as const;

/** For a function that was deployed otherwise: clients take none that is empty. */
const anyRole = 'arn:aws:iam::000000000000:role/oncebox';
/** What the base images have. */
const runtimeIds = { node: 'nodejs24.x', python: 'python3.11' } as const;

interface Bounds {
  defaults: Limits;
  maxima: Limits;
}

/** Caps of a version, of what is given and, for what is not, of the version before. Throws for what is over the node's maxima. */
export function limitsOf(
  { Timeout, MemorySize, EphemeralStorage }: Configuration,
  { maxima }: Pick<Bounds, 'maxima'>,
  before?: Record<string, number>,
): Record<string, number> {
  const wallMs = asked('Timeout', Timeout, { unit: 1000, max: maxima.wallMs }) ?? before?.wallMs;
  const memoryBytes = asked('MemorySize', MemorySize, { unit: MiB, max: maxima.memoryBytes });
  const diskBytes = asked('EphemeralStorage', EphemeralStorage?.Size, { unit: MiB, max: maxima.diskBytes });
  const timeoutMs = wallMs ?? Math.min(lambdaDefaults.Timeout * 1000, maxima.wallMs);
  return {
    ...{ pids: Math.min(lambdaDefaults.pids, maxima.pids), ...before },
    wallMs: timeoutMs,
    // Lambda has a limit of time and none of work.
    cpuMs: Math.min(timeoutMs, maxima.cpuMs),
    memoryBytes:
      memoryBytes ?? before?.memoryBytes ?? Math.min(lambdaDefaults.MemorySize * MiB, maxima.memoryBytes),
    diskBytes: diskBytes ?? before?.diskBytes ?? Math.min(lambdaDefaults.diskBytes, maxima.diskBytes),
  };
}

function asked(
  field: string,
  value: number | undefined,
  { unit, max }: { unit: number; max: number },
): number | undefined {
  if (value === undefined) return undefined;
  if (value * unit <= max) return value * unit;
  throw invalidParameter(
    `${field}: ${value} is more than this platform allows: ${Math.floor(max / unit)} (ONCEBOX_MAX_LIMITS)`,
  );
}

/** The platform's own runtime of one of Lambda's. Throws for those that there are none of. */
export function runtimeOf(runtime: string | undefined): 'node' | 'python' {
  if (/^nodejs\d/.test(runtime ?? '')) return 'node';
  if (/^python\d/.test(runtime ?? '')) return 'python';
  throw invalidParameter(
    `Runtime: ${JSON.stringify(runtime ?? '')} is not supported for archives: nodejs… and python… are; ` +
      'for another make an image (PackageType "Image")',
  );
}

/** `pkg.app.handler` is `pkg/app.handler`: modules of Python are written either way. */
export function handlerOf(runtime: 'node' | 'python', handler: string): string {
  const dot = handler.lastIndexOf('.');
  if (runtime !== 'python' || dot < 0) return handler.replace(/^\.\//, '');
  return handler.slice(0, dot).replaceAll('.', '/') + handler.slice(dot);
}

export function configurationOf(
  c: Context,
  name: string,
  version: FunctionVersion,
  { qualifier, bounds }: { qualifier?: string | undefined; bounds: Bounds },
) {
  const { labels: own = {}, codeLayer, runtime, env } = version;
  const imageConfig = own[labels.imageConfig];
  const { wallMs, memoryBytes, diskBytes } = resolveLimits(version.limits, bounds);
  const isImage = codeLayer === undefined;
  const isLatest = qualifier === undefined || qualifier === latest;
  return {
    FunctionName: name,
    FunctionArn: arnOf(c, name, qualifier),
    ...(!isImage && runtime && { Runtime: own[labels.runtime] ?? runtimeIds[runtime] }),
    Role: own[labels.role] ?? anyRole,
    ...(!isImage && { Handler: own[labels.handler] ?? version.handler }),
    CodeSize: Number(own[labels.codeSize] ?? version.sizeBytes),
    Description: (isLatest ? undefined : own[labels.published] || undefined) ?? own[labels.description] ?? '',
    Timeout: Math.ceil(wallMs / 1000),
    MemorySize: Math.round(memoryBytes / MiB),
    LastModified: lambdaTime(version.createdAt),
    CodeSha256: own[labels.codeSha256] ?? Buffer.from(codeDigest(version), 'hex').toString('base64'),
    Version: isLatest ? latest : String(version.version),
    ...(Object.keys(env).length > 0 && { Environment: { Variables: env } }),
    TracingConfig: { Mode: 'PassThrough' },
    RevisionId: revisionOfVersion(version),
    State: 'Active',
    LastUpdateStatus: 'Successful',
    PackageType: isImage ? 'Image' : 'Zip',
    Architectures: [process.arch === 'arm64' ? 'arm64' : 'x86_64'],
    EphemeralStorage: { Size: Math.round(diskBytes / MiB) },
    ...(imageConfig !== undefined && { ImageConfigResponse: { ImageConfig: JSON.parse(imageConfig) } }),
    SnapStart: { ApplyOn: 'None', OptimizationStatus: 'Off' },
    LoggingConfig: { LogFormat: 'Text', LogGroup: `/aws/lambda/${name}` },
  };
}

/** Another one whenever what is shown of it is another. */
export function revisionOf(thing: object): string {
  const hex = createHash('sha256').update(JSON.stringify(thing)).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

export const revisionOfVersion = ({ version, digest }: FunctionVersion) => revisionOf({ version, digest });

function codeDigest({ codeLayer, digest }: FunctionVersion): string {
  return codeLayer ?? digest.replace(/^sha256:/, '');
}

/** As Lambda writes it: `2026-11-21T09:50:00.000+0000`. */
const lambdaTime = (iso: string) => iso.replace(/Z$/, '+0000');
