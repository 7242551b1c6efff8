import { z } from 'zod';

/** Whose functions, invocations and keys something is. */
export const tenantNameSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    'must be 1 to 63 of a-z, 0-9 and "-", beginning with a letter or digit',
  );

/** Whoever calls a platform that asks for no keys. */
export const defaultTenant = 'default';
