import type { Job, Worker } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationJob } from '../queue/job.ts';
import type { TenantBook } from '../tenants/tenant-book.ts';
import type { UsageLedger } from '../tenants/usage-ledger.ts';

/** An invocation that has ended gives its place among its tenant's back, where there is a quota of them. */
export function settleFinished(
  worker: Worker<InvocationJob, Invocation>,
  { book, ledger, onError }: { book: TenantBook; ledger: UsageLedger; onError: (error: unknown) => void },
): void {
  function settle(job: Job<InvocationJob> | undefined) {
    const tenant = job?.data?.tenant;
    if (job?.id === undefined || tenant === undefined) return;
    if (book.quotasOf(tenant).concurrency !== undefined) ledger.settle(tenant, job.id).catch(onError);
  }
  worker.on('completed', settle);
  worker.on('failed', settle);
}
