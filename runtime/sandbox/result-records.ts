import { z } from 'zod';
import { responseHeadSchema } from '../../sdk/contract/events.ts';

/** What an interpreter says of a result before it is whole, one JSON text a line. */
const recordSchema = z.union([
  z.object({ type: z.literal('head'), ...responseHeadSchema.shape }),
  z.object({ type: z.literal('chunk'), text: z.string() }),
  z.object({ type: z.literal('chunk'), base64: z.string() }),
]);
export type ResultRecord = z.infer<typeof recordSchema>;

/** Throws at the first that is none: user code can write there too. What is before it is yielded. */
export function* parseRecords(bytes: Uint8Array): Generator<ResultRecord> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  for (const line of text.split('\n')) if (line !== '') yield recordSchema.parse(JSON.parse(line));
}
