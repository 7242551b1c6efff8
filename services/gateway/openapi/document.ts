import { OpenAPIRegistry, OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi';
import type { Limits } from '../../../sdk/contract/limits.ts';
import { errorSchema } from './errors.ts';
import { allExamples } from './examples/all.ts';
import { aliasOperations } from './operations/aliases.ts';
import { batchOperations } from './operations/batch.ts';
import { callbackOperations } from './operations/callbacks.ts';
import { deadLetterOperations } from './operations/dead-letters.ts';
import { eventOperations } from './operations/events.ts';
import { functionSettingsOperations } from './operations/function-settings.ts';
import { functionOperations } from './operations/functions.ts';
import { httpTriggerOperations } from './operations/http-trigger.ts';
import { imageOperations } from './operations/images.ts';
import { inputOperations } from './operations/input.ts';
import { invocationListOperations } from './operations/invocation-list.ts';
import { invocationOperations } from './operations/invocations.ts';
import { keyOperations } from './operations/keys.ts';
import { languageOperations } from './operations/languages.ts';
import { nodeOperations } from './operations/nodes.ts';
import { referenceOperations } from './operations/reference.ts';
import { runOperations } from './operations/run.ts';
import { scheduleOperations } from './operations/schedules.ts';
import { secretOperations } from './operations/secrets.ts';
import { tenantOperations } from './operations/tenants.ts';
import { versionOperations } from './operations/versions.ts';
import { addExamples } from './with-examples.ts';

export type OpenApiDocument = ReturnType<OpenApiGeneratorV31['generateDocument']>;

/** The HTTP contract as OpenAPI 3.1, made of the contract's schemas; `maxima` are this gateway's. */
export function openApiDocument(maxima: Limits): OpenApiDocument {
  const registry = new OpenAPIRegistry();
  const operations = [
    ...runOperations(maxima),
    ...functionOperations(maxima),
    ...httpTriggerOperations,
    ...aliasOperations,
    ...versionOperations,
    ...batchOperations,
    ...scheduleOperations,
    ...callbackOperations,
    ...secretOperations,
    ...invocationOperations,
    ...eventOperations,
    ...inputOperations,
    ...invocationListOperations,
    ...functionSettingsOperations,
    ...deadLetterOperations,
    ...nodeOperations,
    ...imageOperations,
    ...languageOperations,
    ...keyOperations,
    ...tenantOperations,
    ...referenceOperations,
  ];
  for (const operation of operations) registry.registerPath({ tags: [areaOf(operation.path)], ...operation });
  registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  registry.registerComponent('securitySchemes', 'apiKey', {
    type: 'apiKey',
    in: 'header',
    name: 'x-api-key',
  });
  // The error replies name it by hand: each narrows it to the codes of its status.
  const definitions = [{ type: 'schema' as const, schema: errorSchema }, ...registry.definitions];
  const document = new OpenApiGeneratorV31(definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'oncebox',
      version: '1',
      description: 'Runs every invocation in a fresh container of its own.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    // A platform that listens on loopback asks for no key.
    security: [{ bearer: [] }, { apiKey: [] }, {}],
  });
  addExamples(document, allExamples);
  return document;
}

/** What a page groups operations by: `/v1/functions/{name}` is of `functions`. */
function areaOf(path: string): string {
  return /^\/v1\/([a-z-]+)/.exec(path)?.[1] ?? 'platform';
}
