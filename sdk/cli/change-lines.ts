import type { Invocation } from '../contract/invocation.ts';
import { size } from './format.ts';

const letters = { added: 'A', changed: 'C', deleted: 'D' } as const;

/** As `docker diff` writes them, with sizes. */
export function changeLines({ changes = [], changesTruncated }: Invocation): string {
  const lines = changes.map(({ kind, path, type, sizeBytes }) => {
    const detail = kind !== 'deleted' && type === 'file' ? `  ${size(sizeBytes)}` : '';
    return `${letters[kind]} ${path}${type === 'directory' && !path.endsWith('/') ? '/' : ''}${detail}`;
  });
  if (changesTruncated) lines.push('… and more, which are not listed');
  return lines.join('\n');
}
