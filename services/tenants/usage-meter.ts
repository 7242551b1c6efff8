import { setTimeout as delay } from 'node:timers/promises';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { UsageLedger } from './usage-ledger.ts';

const writeEveryMs = 1_000;

export interface UsageMeter {
  /** The CPU time that a tenant's invocation has taken: its compiler's, and its program's where it came to that. */
  add(tenant: string, invocation: Pick<Invocation, 'usage' | 'compile'>): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

/**
 * Adds up what invocations use and writes it every second: an invocation costs no round trip. A worker that is killed
 * takes what it has not written with it, a second's at most; what Redis does not take now is written later.
 */
export function openUsageMeter(
  ledger: Pick<UsageLedger, 'addCpu'>,
  onError: (error: unknown) => void,
): UsageMeter {
  const closed = new AbortController();
  let used = new Map<string, number>();

  function count(tenant: string, usec: number) {
    if (usec > 0) used.set(tenant, (used.get(tenant) ?? 0) + usec);
  }

  async function write() {
    if (used.size === 0) return;
    const writing = used;
    used = new Map();
    try {
      await ledger.addCpu(writing);
    } catch (error) {
      for (const [tenant, usec] of writing) count(tenant, usec);
      onError(error);
    }
  }

  async function writeRegularly() {
    while (await delay(writeEveryMs, true, { signal: closed.signal, ref: false }).catch(() => false))
      await write();
  }
  const writing = writeRegularly();

  return {
    add(tenant, { usage, compile }) {
      count(tenant, ((usage?.cpuMs ?? 0) + (compile?.usage?.cpuMs ?? 0)) * 1000);
    },
    async close() {
      closed.abort();
      await writing;
      await write();
    },
  };
}
