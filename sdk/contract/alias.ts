import { z } from 'zod';

const versionNumber = z.number().int().min(1).max(999_999_999);
const weightsMax = 10;

/** Begins with a letter, so that it is no version's number. */
export const aliasNameSchema = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9_-]{0,127}$/,
    'must be 1 to 128 of A-Z, a-z, 0-9, "-" and "_", beginning with a letter',
  );

/** A version's number → its share of all calls, 0 to 1. */
const weightsSchema = z.record(
  z.string().regex(/^[1-9][0-9]{0,8}$/, "must be a version's number"),
  z.number().min(0).max(1),
);

/** Body of `PUT /v1/functions/:name/aliases/:alias`. */
export const aliasRequestSchema = z
  .strictObject({
    version: versionNumber,
    /** Shares of other versions; the rest of all calls goes to `version`. */
    weights: weightsSchema.optional(),
  })
  .superRefine(({ version, weights = {} }, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    const shares = Object.values(weights);
    if (shares.length > weightsMax) refuse(['weights'], `may name ${weightsMax} versions at most`);
    if (Object.hasOwn(weights, String(version)))
      refuse(['weights', String(version)], 'is the version that gets the rest');
    // A sum of tenths may be a little more than it should be.
    if (shares.reduce((sum, share) => sum + share, 0) > 1 + 1e-9)
      refuse(['weights'], 'must not be more than 1 together');
  });
export type AliasRequest = z.infer<typeof aliasRequestSchema>;

export const aliasSchema = z.object({
  name: z.string(),
  version: versionNumber,
  weights: weightsSchema,
  updatedAt: z.string().describe('RFC 3339'),
});
export type Alias = z.infer<typeof aliasSchema>;

/** Sorted by name. */
export const aliasListSchema = z.object({ aliases: z.array(aliasSchema) });
export type AliasList = z.infer<typeof aliasListSchema>;

/** Body of `POST /v1/functions/:name/rollback`; empty: to the version that was current before. */
export const rollbackRequestSchema = z.strictObject({ version: versionNumber.optional() });
