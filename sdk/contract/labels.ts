import { z } from 'zod';

const totalMaxBytes = 65_536;

const labelNameSchema = z
  .string()
  .min(1)
  .max(256)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  .regex(/^[^\x00-\x1f\x7f]*$/, 'must have no control characters');
const labelValueSchema = z.string().max(4096);
export const labelsMax = 128;

/** What who deploys marks a version with. It is kept and shown, and means nothing to the platform. */
export const labelsSchema = z
  .record(labelNameSchema, labelValueSchema)
  .refine((labels) => Object.keys(labels).length <= labelsMax, `may be ${labelsMax} at most`)
  .refine(
    (labels) => JSON.stringify(labels).length <= totalMaxBytes,
    `may have ${totalMaxBytes} bytes at most`,
  );
export type Labels = z.infer<typeof labelsSchema>;
