import type { Callbacks } from '../callbacks/callbacks.ts';
import type { CallbackSecrets } from '../callbacks/secrets.ts';
import type { LanguageCatalogue } from '../languages/installed-languages.ts';
import type { ImageCatalogue } from '../queue/image-catalogue.ts';
import type { InvocationQueue } from '../queue/invocation-queue.ts';
import type { NodeDirectory } from '../queue/node-directory.ts';
import type { Registry } from '../registry/registry.ts';
import type { Schedules } from '../schedules/schedules.ts';
import type { SecretStore } from '../secrets/secret-store.ts';
import type { Config } from '../shared/config.ts';
import type { Logger } from '../shared/logger.ts';
import type { Span, Tracing } from '../telemetry/tracing.ts';
import type { Identity } from '../tenants/identity.ts';
import type { Tenancy } from '../tenants/tenancy.ts';
import type { HeldConnections } from './held-connections.ts';
import type { GatewayMetrics } from './metrics.ts';

export interface GatewayDeps {
  config: Pick<
    Config,
    | 'ONCEBOX_BODY_MAX_BYTES'
    | 'ONCEBOX_CORS_ORIGINS'
    | 'ONCEBOX_HOST'
    | 'ONCEBOX_IMAGE_MAX_BYTES'
    | 'ONCEBOX_DEFAULT_LIMITS'
    | 'ONCEBOX_MAX_LIMITS'
    | 'needsKeys'
    | 'nodeSocket'
  >;
  queue: InvocationQueue;
  registry: Registry;
  secrets: SecretStore;
  directory: NodeDirectory;
  catalogue: ImageCatalogue;
  languages: LanguageCatalogue;
  tenancy: Tenancy;
  held: HeldConnections;
  schedules: Schedules;
  callbacks: Callbacks;
  callbackSecrets: CallbackSecrets;
  logger: Logger;
  /** Where others of this process count too; its own unless given. */
  metrics?: GatewayMetrics;
  /** Without one nothing is traced. */
  tracing?: Tracing;
}

export interface GatewayEnv {
  Variables: {
    logger: Logger;
    /** Who calls. */
    identity: Identity;
    /** For whom: the caller's own, or another that an admin acts for. */
    tenant: string;
    /** As logs name the request. */
    requestId: string;
    span: Span;
    /** Unix time, milliseconds with fractions. */
    receivedAtMs: number;
    /** The request's, where it had to be read to know who calls. */
    body: Buffer | undefined;
  };
}
