export type StoreErrorCode =
  | 'image_not_found'
  | 'image_in_use'
  | 'invalid_image'
  | 'registry_failed'
  | 'packages_failed'
  | 'build_failed'
  | 'storage_full'
  | 'invalid_request';

/** What a caller of the store can do something about. The codes are those of the contract's errors. */
export class StoreError extends Error {
  override name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A full disk is told from all other failures, wherever it shows: as an errno of ours or in a program's words. */
export function asStoreError(error: unknown, doing: string): Error {
  if (error instanceof StoreError) return error;
  const failure = error instanceof Error ? error : new Error(String(error));
  const { code } = failure as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT' || /no space left on device/i.test(failure.message)) {
    return new StoreError('storage_full', `cannot ${doing}: the disk of the image store is full`, {
      cause: failure,
    });
  }
  return failure;
}
