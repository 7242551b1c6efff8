import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A directory with these files, for one test; `name` is its own. */
export async function useDirectory(files: Record<string, string>, name = 'app'): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'oncebox-cli-'));
  onTestFinished(() => rm(parent, { recursive: true }));
  const directory = join(parent, name);
  await mkdir(directory);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
    if (content.startsWith('#!')) await chmod(join(directory, path), 0o755);
  }
  return directory;
}
