import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The newest time of a file or directory below `path`: a directory's tells of files added and removed. `made` are paths'
 * ends, as `native/build`, of what is not a source.
 */
export function newestMs(path, made) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  const names = readdirSync(path);
  const paths = names.map((name) => join(path, name));
  const sources = paths.filter((name) => !made.some((end) => name.endsWith(`/${end}`)));
  // Making them touches the directory they are in, so that one's own time says nothing.
  const own = sources.length === names.length ? stats.mtimeMs : 0;
  return Math.max(own, ...sources.map((source) => newestMs(source, made)));
}
