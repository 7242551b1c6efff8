import type { Invocation } from '../contract/invocation.ts';
import { size } from './format.ts';

const letters = { added: 'A', changed: 'C', deleted: 'D' } as const;

/** As `docker diff` writes them, with sizes. */
export function changeLines({ changes = [], changesTruncated }: Invocation): string {
  const lines = changes.map(({ kind, path, type, sizeBytes }) => {
    const detail = kind !== 'deleted' && type === 'file' ? `  ${size(sizeBytes)}` : '';
    return `${letters[kind]} ${printable(path)}${type === 'directory' && !path.endsWith('/') ? '/' : ''}${detail}`;
  });
  if (changesTruncated) lines.push('… and more, which are not listed');
  return lines.join('\n');
}

/** A program chose the name: it shall not end the line, nor speak to the terminal. */
function printable(path: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped
  return path.replaceAll(/[\u0000-\u001f\u007f-\u009f\\]/g, (character) =>
    character === '\\' ? '\\\\' : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
