import { StoreError } from '../../runtime/image/store-error.ts';
import { PlatformError } from '../shared/platform-error.ts';

/** The store's errors in the contract's words: the codes are the same. All else is passed on as it is. */
export function platformErrorOf(error: unknown): Error {
  if (error instanceof StoreError) return new PlatformError(error.code, error.message, { cause: error });
  return error instanceof Error ? error : new Error(String(error));
}
