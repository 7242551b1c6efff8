import { z } from 'zod';
import { fileSchema } from './program.ts';

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Files that can be laid out in one directory: none given twice, none both a file and a directory. */
export const filesSchema = z
  .array(fileSchema)
  .min(1)
  .max(5000)
  .superRefine((files, context) => {
    for (const [index, file] of files.entries()) {
      if (file.encoding === 'base64' && !base64.test(file.content)) {
        context.addIssue({
          code: 'custom',
          path: [index, 'content'],
          message: 'must be base64 with padding',
        });
      }
    }
    const conflict = conflictingPath(files.map((file) => file.path));
    if (conflict !== undefined) {
      context.addIssue({
        code: 'custom',
        path: [conflict.index, 'path'],
        message: `"${conflict.path}" is given twice, or is both a file and a directory`,
      });
    }
  });

/** The first path that cannot exist beside the others, or undefined. */
export function conflictingPath(paths: readonly string[]): { index: number; path: string } | undefined {
  const seen = new Set<string>();
  const directories = new Set<string>();
  for (const path of paths) for (const parent of parentsOf(path)) directories.add(parent);
  for (const [index, path] of paths.entries()) {
    if (seen.has(path) || directories.has(path)) return { index, path };
    seen.add(path);
  }
  return undefined;
}

/** In a layer these names delete what lies below (OCI image-spec, layer.md), so no file of a function has one. */
export function isWhiteout(path: string): boolean {
  return path.split('/').some((part) => part.startsWith('.wh.'));
}

function parentsOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, depth) => parts.slice(0, depth + 1).join('/'));
}
