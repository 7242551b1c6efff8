import { zodToOpenAPIRegistry } from '@asteasolutions/zod-to-openapi';
import type { z } from 'zod';

/** What JSON Schema can say and a zod schema's refinements cannot. */
type Keywords = Record<string, unknown>;

/**
 * The schema under a name of its own in the document, wherever it occurs. The contract imports zod only, so its schemas
 * know nothing of this; the registry is the library's own, which `.openapi()` writes to as well.
 */
export function named<Schema extends z.ZodType>(
  name: string,
  schema: Schema,
  keywords: Keywords = {},
): Schema {
  zodToOpenAPIRegistry.add(schema, { ...keywords, _internal: { refId: name } });
  return schema;
}
