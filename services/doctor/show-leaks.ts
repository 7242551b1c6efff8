import { table } from '../../sdk/cli/format.ts';
import { defaultUrl, type Session } from '../../sdk/cli/session.ts';
import { loadConfig } from '../shared/config.ts';
import { colours } from './colours.ts';
import { auditNode, type NodeAudit } from './leaks/audit-node.ts';
import { HostProcesses } from './leaks/host-processes.ts';

export async function showLeaks(session: Session): Promise<void> {
  const config = loadConfig(session.io.env);
  // Where nobody said that a platform runs, and none does, nobody is asked.
  const asks = session.url !== defaultUrl || new HostProcesses().instances.has(config.instance);
  const audit = await auditNode({
    dataDirs: [config.ONCEBOX_DATA_DIR],
    storeDirs: [config.storeDir],
    ...(asks && { url: session.url }),
    ...session.signal,
  });
  const colour = colours(session.io);
  session.print(audit, ({ leaks }) => {
    if (leaks.length === 0) return `${lookedAt(audit)}\n${colour('green', 'Nothing was left behind.')}`;
    const rows = leaks.map(({ kind, what }) => [kind, what]);
    const remedies = new Map(leaks.map(({ kind, remedy }) => [kind, `  ${kind}: ${remedy}`]));
    return [
      lookedAt(audit),
      table(['LEFT BEHIND', 'WHAT'], rows),
      `To do:\n${[...remedies.values()].join('\n')}`,
      colour('red', `${leaks.length} left behind.`),
    ].join('\n\n');
  });
  for (const what of audit.unseen) session.note(`could not look at ${what}`);
  if (audit.leaks.length > 0) session.exitCode = 1;
}

function lookedAt({ looked }: NodeAudit): string {
  const { processes, cgroupHierarchies, mountNamespaces, instances, dataDirs, storeDirs, compared } = looked;
  const running = instances.length === 0 ? 'no platform runs' : `running: ${instances.join(', ')}`;
  return [
    `Looked at ${processes} processes, ${cgroupHierarchies} cgroup hierarchies, ${mountNamespaces} mount namespaces; ${running}.`,
    `Data: ${dataDirs.join(', ')}; images: ${storeDirs.join(', ')}.`,
    ...(compared.length > 0
      ? [`Sandboxes were compared with the worker's list of ${compared.join(', ')}.`]
      : []),
  ].join('\n');
}
