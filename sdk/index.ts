/** What `@oncebox/sdk` exports. */

export type { BatchOptions } from './batch-client.ts';
export {
  type Client,
  createClient,
  type InvokeAsyncOptions,
  type InvokeOptions,
  type InvokeResult,
} from './client.ts';
export type { Alias, AliasRequest } from './contract/alias.ts';
export type { BatchItem } from './contract/batch.ts';
export type { CallbackSecret, CallbackState } from './contract/callback.ts';
export type { DeadLetter, InvocationSummary } from './contract/dead-letter.ts';
export { type ErrorCode, errorStatus } from './contract/error.ts';
export type {
  DeployedFunction,
  DeployRequest,
  FunctionRecord,
  FunctionVersion,
} from './contract/function.ts';
export type { FunctionSettings } from './contract/function-settings.ts';
export type {
  Change,
  DiskUsage,
  HistoryEntry,
  ImageDetail,
  ImageEvent,
  ImageRemoval,
  ImageSummary,
  PruneResult,
  PullRequest,
  PushFunctionRequest,
  PushRequest,
} from './contract/image.ts';
export type { SignalName } from './contract/input.ts';
export { type Invocation, invocationSchema, type StartKind, type Timings } from './contract/invocation.ts';
export type { InvocationListQuery } from './contract/invocation-list.ts';
export type { Priority } from './contract/invocation-options.ts';
export type { Isolation } from './contract/isolation.ts';
export type { ApiKey, CreatedKey, CreateKeyRequest, Scope } from './contract/key.ts';
export type { LanguageEvent, LanguageInfo } from './contract/language.ts';
export type { LimitName, Limits } from './contract/limits.ts';
export type { NodeInfo, SandboxList, SandboxRecord } from './contract/node.ts';
export type { Outcome } from './contract/outcome.ts';
export type { SourceFile } from './contract/program.ts';
export type { RunRequest } from './contract/run-request.ts';
export type { RuntimeName } from './contract/runtime-name.ts';
export type { Schedule, ScheduleRequest } from './contract/schedule.ts';
export type { SecretRequest, SecretSummary } from './contract/secret.ts';
export type { Quotas, Tenant, TenantRecord, TenantRequest } from './contract/tenant.ts';
export type { BuildOptions, ImageClient, TaskOptions } from './image-client.ts';
export type { InteractiveOptions, InteractiveRun } from './interactive-client.ts';
export type { AsyncInvocationOptions, InvocationOptions } from './invocation-headers.ts';
export type { LanguageClient } from './language-client.ts';
export { isOnceboxError, OnceboxError } from './oncebox-error.ts';
export type { RetryOptions } from './retry.ts';
export type { CallOptions, ClientOptions, Upload } from './send.ts';
export type { FollowedEvent, FollowOptions, LogOptions } from './stream-client.ts';
