import { z } from 'zod';

export const secretMaxBytes = 65_536;
/** Of one function. */
const secretsMax = 32;

/** As a file is called in `/run/secrets`. */
export const secretNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/,
    'must be 1 to 63 of A-Z, a-z, 0-9, "_", "." and "-", not beginning with "." or "-"',
  );

/** What a function asks for; it finds each as a file. */
export const secretNamesSchema = z
  .array(secretNameSchema)
  .max(secretsMax)
  .superRefine((names, context) => {
    for (const [index, name] of names.entries())
      if (names.indexOf(name) < index)
        context.addIssue({ code: 'custom', path: [index], message: `"${name}" is given twice` });
  });

/** Body of `PUT /v1/secrets/:name`: a text, or bytes in base64. */
export const secretRequestSchema = z
  .strictObject({ value: z.string().optional(), base64: z.base64({ abort: true }).optional() })
  .superRefine((request, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if ((request.value === undefined) === (request.base64 === undefined))
      return refuse(['value'], 'give "value" or "base64", one of them');
    if (secretBytes(request).byteLength > secretMaxBytes)
      refuse([request.value === undefined ? 'base64' : 'value'], `may have ${secretMaxBytes} bytes at most`);
  });
export type SecretRequest = z.infer<typeof secretRequestSchema>;

/** All that is ever told of a secret. */
export const secretSchema = z.object({
  name: z.string(),
  sizeBytes: z.number().int(),
  /** How often it has been put. */
  version: z.number().int().min(1),
  createdAt: z.string().describe('RFC 3339'),
  updatedAt: z.string().describe('RFC 3339'),
});
export type SecretSummary = z.infer<typeof secretSchema>;

/** Sorted by name. */
export const secretListSchema = z.object({ secrets: z.array(secretSchema) });
export type SecretList = z.infer<typeof secretListSchema>;

export function secretBytes({ value, base64 }: SecretRequest): Uint8Array {
  if (value !== undefined) return new TextEncoder().encode(value);
  return Uint8Array.from(atob(base64 ?? ''), (char) => char.charCodeAt(0));
}
