import type { Scope } from '../../sdk/contract/key.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';

/** Who calls, and what he may do. */
export interface Identity {
  tenant: string;
  scopes: ReadonlySet<Scope>;
  /** Absent where no key is asked for. */
  keyId?: string;
}

/** Whoever calls a platform that asks for no keys. */
export const anybody: Identity = { tenant: defaultTenant, scopes: new Set(['admin']) };

export function mayDo({ scopes }: Identity, scope: Scope): boolean {
  return scopes.has(scope) || scopes.has('admin');
}
