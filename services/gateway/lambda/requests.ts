import { z } from 'zod';
import { argumentSchema } from '../../../sdk/contract/program.ts';
import { workdirSchema } from '../../../sdk/contract/run-request.ts';
import { isWellFormed } from './well-formed.ts';

/*
 * What of Lambda's requests has a meaning here. Fields that are not named are let through and do nothing, as those of tracing;
 * those that a function would miss are refused where they are given.
 */

const text = (max: number) => z.string().max(max).refine(isWellFormed, 'must be well-formed Unicode');
const refused = (why: string) =>
  z
    .unknown()
    .refine((value) => isEmpty(value), `is not supported: ${why}`)
    .optional();
const arn = text(256);

export const imageConfigSchema = z.object({
  EntryPoint: z.array(argumentSchema).max(1000).optional(),
  Command: z.array(argumentSchema).max(1000).optional(),
  WorkingDirectory: z.union([z.literal(''), workdirSchema]).optional(),
});

const configuration = {
  Role: arn.optional(),
  Description: text(256).optional(),
  Runtime: text(64).optional(),
  Handler: text(256).optional(),
  /** Seconds. */
  Timeout: z.number().int().min(1).max(900).optional(),
  /** MiB. */
  MemorySize: z.number().int().min(128).max(10_240).optional(),
  EphemeralStorage: z.object({ Size: z.number().int().min(512).max(10_240) }).optional(),
  Environment: z.object({ Variables: z.record(z.string(), z.string()).optional() }).optional(),
  ImageConfig: imageConfigSchema.optional(),
  Layers: refused('put what the layers hold into the archive or the image'),
  FileSystemConfigs: refused('there are no file systems but the own one'),
  VpcConfig: z
    .object({ SubnetIds: refused('sandboxes have no network'), SecurityGroupIds: z.unknown() })
    .optional(),
};

const code = {
  ZipFile: z.base64('must be base64').min(1).optional(),
  ImageUri: z.string().max(512).optional(),
  S3Bucket: refused('give "ZipFile" or "ImageUri"'),
  S3Key: refused('give "ZipFile" or "ImageUri"'),
};

const architectures = z
  .array(z.enum(['x86_64', 'arm64']))
  .max(1)
  .optional();

export const createFunctionSchema = z.object({
  FunctionName: z.string(),
  ...configuration,
  Role: arn,
  Code: z.object(code),
  PackageType: z.enum(['Zip', 'Image']).default('Zip'),
  Publish: z.boolean().default(false),
  Architectures: architectures,
  Tags: z.record(text(128), text(256)).default({}),
});

export const updateCodeSchema = z.object({
  ...code,
  Publish: z.boolean().default(false),
  DryRun: z.boolean().default(false),
  RevisionId: z.string().optional(),
  Architectures: architectures,
});

export const updateConfigurationSchema = z.object({ ...configuration, RevisionId: z.string().optional() });
export type Configuration = z.infer<typeof updateConfigurationSchema>;

export const publishVersionSchema = z.object({
  CodeSha256: z.string().optional(),
  Description: text(256).optional(),
  RevisionId: z.string().optional(),
});

const aliasFields = {
  FunctionVersion: z
    .string()
    .regex(/^[1-9]\d{0,8}$/, "must be a published version's number: $LATEST cannot have an alias"),
  Description: text(256).optional(),
  RoutingConfig: z
    .object({ AdditionalVersionWeights: z.record(z.string(), z.number().min(0).max(1)).nullish() })
    .optional(),
};
export const createAliasSchema = z.object({ Name: z.string(), ...aliasFields });
export const updateAliasSchema = z.object({
  ...aliasFields,
  FunctionVersion: aliasFields.FunctionVersion.optional(),
  RevisionId: z.string().optional(),
});

export const concurrencySchema = z.object({
  ReservedConcurrentExecutions: z.number().int().min(0).max(10_000),
});

export const urlConfigSchema = z.object({
  AuthType: z.enum(['NONE', 'AWS_IAM']).optional(),
  InvokeMode: z.enum(['BUFFERED', 'RESPONSE_STREAM']).optional(),
  Cors: refused('name the origins in ONCEBOX_CORS_ORIGINS, or answer to OPTIONS in the function'),
});

export const tagsSchema = z.object({ Tags: z.record(text(128).min(1), text(256)) });

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
