import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The machine's own sources of `suite`, one line each, as sources.list(5) writes them: its mirror is nearer, and may
 * be the only one it can reach. Empty when it has none (another release): mmdebstrap then uses deb.debian.org.
 */
export async function readAptSources(suite: string, etc = '/etc/apt'): Promise<string[]> {
  const parts = await readdir(join(etc, 'sources.list.d')).catch(() => []);
  const files = ['sources.list', ...parts.sort().map((name) => join('sources.list.d', name))];
  const lines: string[] = [];
  for (const file of files) {
    const text = await readFile(join(etc, file), 'utf8').catch(() => '');
    if (file.endsWith('.list')) lines.push(...text.split('\n').map((line) => line.trim()));
    if (file.endsWith('.sources')) lines.push(...text.split(/\n\s*\n/).flatMap(stanzaToLines));
  }
  const ours = lines.filter((line) => {
    const [, name, components] = /^deb\s+(?:\[[^\]]*\]\s+)?\S+\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    const suites = [suite, `${suite}-updates`, `${suite}-security`, `${suite}/updates`];
    return name !== undefined && suites.includes(name) && /\bmain\b/.test(components ?? '');
  });
  return ours.some((line) => line.split(/\s+/).includes(suite)) ? ours : [];
}

/** A deb822 stanza as one-line entries. An inline key (Signed-By over several lines) has no one-line form: skipped. */
function stanzaToLines(stanza: string): string[] {
  const fields = new Map<string, string>();
  for (const line of stanza.split('\n')) {
    const [, name, value] = /^([A-Za-z-]+):\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined) fields.set(name.toLowerCase(), (value ?? '').trim());
  }
  const list = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
  const signedBy = fields.get('signed-by');
  if (!list('types').includes('deb') || fields.get('enabled') === 'no' || signedBy === '') return [];
  const options = signedBy === undefined ? '' : `[signed-by=${signedBy.replaceAll(/\s+/g, ',')}] `;
  return list('uris').flatMap((uri) =>
    list('suites').map((suite) => `deb ${options}${uri} ${suite} ${list('components').join(' ')}`),
  );
}
