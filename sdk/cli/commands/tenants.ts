import { Command } from 'commander';
import type { Quotas } from '../../contract/tenant.ts';
import { OnceboxError } from '../../oncebox-error.ts';
import { size, table } from '../format.ts';
import { positiveInteger, wholeNumber } from '../option-values.ts';
import type { Session } from '../session.ts';

/** `false`: lifted. */
type SetOptions = { [Name in keyof Quotas]?: number | false };

export const tenantsCommand = (session: Session) =>
  new Command('tenants')
    .addCommand(listCommand(session), { isDefault: true })
    .addCommand(showCommand(session))
    .addCommand(setCommand(session));

const listCommand = (session: Session) =>
  new Command('ls').description('list tenants and their quotas').action(async () => {
    const tenants = await session.client.tenants(session.signal);
    session.print(tenants, () =>
      table(
        ['TENANT', 'REQUESTS/MINUTE', 'CONCURRENCY', 'CPU SECONDS/DAY', 'STORAGE'],
        tenants.map(({ name, quotas }) => [name, ...cells(quotas)]),
      ),
    );
  });

const showCommand = (session: Session) =>
  new Command('show')
    .description('say what a tenant may use, and what it uses')
    .argument('<tenant>')
    .action(async (name: string) => {
      const tenant = await session.client.tenant(name, session.signal);
      session.print(tenant, ({ quotas, usage }) => {
        const used = [
          `${usage.requestsThisMinute ?? '-'}`,
          `${usage.concurrency ?? '-'}`,
          `${Math.round(usage.cpuSecondsToday)}`,
          size(usage.storageBytes),
        ];
        const names = ['requests this minute', 'concurrency', 'cpu seconds today', 'storage'];
        const quota = cells(quotas);
        return table(
          ['OF', 'USED', 'QUOTA'],
          names.map((one, at) => [one, used[at] ?? '-', quota[at] ?? '-']),
        );
      });
    });

const setCommand = (session: Session) =>
  new Command('set')
    .description('say what a tenant may use; what is not given stays as it is')
    .argument('<tenant>', 'its name; it need not be there yet')
    .option('--requests-per-minute <number>', 'of all kinds', positiveInteger)
    .option('--no-requests-per-minute', 'no bound')
    .option('--concurrency <number>', 'invocations that wait and run', positiveInteger)
    .option('--no-concurrency', 'no bound')
    .option('--cpu-seconds-per-day <number>', 'from midnight UTC', positiveInteger)
    .option('--no-cpu-seconds-per-day', 'no bound')
    .option('--storage-bytes <number>', "of functions' versions and kept files", wholeNumber)
    .option('--no-storage-bytes', 'no bound')
    .action(async (name: string, options: SetOptions) => {
      const { client, signal } = session;
      const before = await client.tenant(name, signal).catch((error: unknown) => {
        if (error instanceof OnceboxError && error.code === 'tenant_not_found') return { quotas: {} };
        throw error;
      });
      const merged = Object.entries({ ...before.quotas, ...options }).filter(
        (pair): pair is [string, number] => typeof pair[1] === 'number',
      );
      const tenant = await client.putTenant(name, { quotas: Object.fromEntries(merged) }, signal);
      session.print(tenant, ({ quotas }) => {
        const [requests, concurrency, cpu, storage] = cells(quotas);
        return `${name}: requests/minute ${requests}, concurrency ${concurrency}, cpu seconds/day ${cpu}, storage ${storage}`;
      });
    });

function cells({ requestsPerMinute, concurrency, cpuSecondsPerDay, storageBytes }: Quotas): string[] {
  const counts = [requestsPerMinute, concurrency, cpuSecondsPerDay].map((quota) => `${quota ?? '-'}`);
  return [...counts, storageBytes === undefined ? '-' : size(storageBytes)];
}
