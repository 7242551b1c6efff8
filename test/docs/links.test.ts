import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { anchorsOf, pathInTree } from './markdown.ts';

// Written but not committed yet counts too.
const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z', '*.md'], {
  cwd: pathInTree('.'),
  encoding: 'utf8',
});
const documents = listed.split('\0').filter((file) => file !== '' && existsSync(pathInTree(file)));

test.each(documents)('every relative link of %s leads to a file of the tree', (document) => {
  const text = readFileSync(pathInTree(document), 'utf8').replaceAll(/^```.*?^```/gms, '');
  const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target) && !leadsSomewhere(document, target));
  expect(broken).toEqual([]);
});

test('the documents that a reader expects are there', () => {
  expect(documents).toEqual(
    expect.arrayContaining([
      'README.md',
      'ARCHITECTURE.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
      'CHANGELOG.md',
    ]),
  );
  expect(existsSync(pathInTree('LICENSE'))).toBe(true);
});

function leadsSomewhere(document: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? document : normalize(join(dirname(document), path));
  if (file.startsWith('..') || !existsSync(pathInTree(file))) return false;
  return anchor === undefined || anchorsOf(readFileSync(pathInTree(file), 'utf8')).includes(anchor);
}
