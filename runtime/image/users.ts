import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxUser } from '../sandbox/sandbox.ts';
import type { StoredImage } from './image.ts';
import { StoreError } from './store-error.ts';

const maxFileBytes = 1024 * 1024;
const maxId = 65_535;
const maxGroups = 32;

/** A user of an image, with the home that its /etc/passwd names. */
export type ImageUser = SandboxUser & { home?: string };

/**
 * Whom an image's `User` means: `name`, `uid`, `name:group`, `uid:gid` …, by the image's own /etc/passwd and
 * /etc/group, as Docker has it (the OCI image spec leaves it open): a numeric user without an entry has group 0, and
 * supplementary groups are read only where no group is given. Rejects with StoreError `invalid_image`.
 */
export async function findUser(layersDir: string, image: StoredImage, user: string): Promise<ImageUser> {
  const [userPart = '', groupPart] = splitUser(user);
  const passwd = parseTable(await readImageFile(layersDir, image.layers, ['etc', 'passwd']));
  const entry = passwd.find((fields) => fields[0] === userPart || (fields[2] === userPart && isId(userPart)));
  if (!entry && !isId(userPart)) throw invalid(image, `it has no user "${userPart}" in its /etc/passwd`);
  const uid = readId(image, entry?.[2] ?? userPart);
  const home = entry?.[5];
  const named = { uid, ...(home?.startsWith('/') && { home }) };

  const group = parseTable(await readImageFile(layersDir, image.layers, ['etc', 'group']));
  if (groupPart !== undefined && groupPart !== '') {
    const found = group.find((fields) => fields[0] === groupPart);
    if (!found && !isId(groupPart)) throw invalid(image, `it has no group "${groupPart}" in its /etc/group`);
    return { ...named, gid: readId(image, found?.[2] ?? groupPart), groups: [] };
  }
  const name = entry?.[0];
  const groups = group
    .filter((fields) => name !== undefined && (fields[3] ?? '').split(',').includes(name))
    .map((fields) => readId(image, fields[2] ?? ''));
  return {
    ...named,
    gid: readId(image, entry?.[3] ?? '0'),
    groups: [...new Set(groups)].slice(0, maxGroups),
  };
}

function splitUser(user: string): [string, string?] {
  const colon = user.indexOf(':');
  if (colon < 0) return [user === '' ? '0' : user];
  return [user.slice(0, colon) || '0', user.slice(colon + 1)];
}

/**
 * A file of an image, the uppermost that is not hidden; '' where there is none. Symbolic links are not followed, and
 * whether a directory is opaque is not seen (Node reads no extended attributes): the worst of that is a user whom a
 * lower layer of the same image had.
 */
async function readImageFile(
  layersDir: string,
  layers: readonly string[],
  path: readonly string[],
): Promise<string> {
  for (const layer of layers) {
    let at = join(layersDir, layer);
    for (const [index, part] of path.entries()) {
      at = join(at, part);
      const stats = await lstat(at).catch(() => undefined);
      if (!stats) break;
      const isLast = index === path.length - 1;
      // A whiteout, or anything else that hides what lies below.
      if (isLast ? !stats.isFile() : !stats.isDirectory()) return '';
      if (isLast) return readCapped(at);
    }
  }
  return '';
}

async function readCapped(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const bytes = Buffer.alloc(Math.min((await file.stat()).size, maxFileBytes));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** passwd(5) and group(5). */
function parseTable(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

function isId(text: string): boolean {
  return /^[0-9]{1,10}$/.test(text);
}

function readId(image: StoredImage, text: string): number {
  const id = Number(text);
  if (isId(text) && id <= maxId) return id;
  throw invalid(image, `"${text}" is no id from 0 to ${maxId}`);
}

function invalid(image: StoredImage, reason: string): StoreError {
  return new StoreError('invalid_image', `cannot run image ${image.reference ?? image.digest}: ${reason}`);
}
