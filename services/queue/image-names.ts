/** What a reference asks for: the first of these full names that there is, and else the image of this digest. */
export interface Wanted {
  names: readonly string[];
  digest?: string;
}

/**
 * Completes a reference as Docker does, but with the names of this platform first: `node` is `localhost/node:latest`
 * and else `docker.io/library/node:latest`. A name with a digest is a name too, without its tag: the digest may be that
 * of an index, from which a node chose. The store has the same rules (runtime/image/reference.ts), which a gateway does
 * not import; a test compares them.
 */
export function wantedImage(reference: string): Wanted {
  const digest = /(?:^|@)(sha256:[a-f0-9]{64})$/.exec(reference)?.[1];
  if (reference === digest) return { names: [], digest };
  const { registry, path } = splitRegistry(reference.replace(/@.*$/, ''));
  const tag = /:[^/]*$/.exec(path)?.[0] ?? ':latest';
  const name = path.replace(/:[^/]*$/, '');
  const suffix = digest === undefined ? tag : `@${digest}`;
  const names = (registry === undefined ? ['localhost', 'docker.io'] : [registry]).map((host) => {
    const library = host === 'docker.io' && !name.includes('/') ? 'library/' : '';
    return `${host}/${library}${name}${suffix}`;
  });
  return digest === undefined ? { names } : { names, digest };
}

/** As in Docker: the first part is a host if it has a dot or a port, is `localhost`, or has capitals. */
function splitRegistry(reference: string): { registry?: string; path: string } {
  const slash = reference.indexOf('/');
  const first = reference.slice(0, Math.max(slash, 0));
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  if (!isHost) return { path: reference };
  return { registry: first === 'index.docker.io' ? 'docker.io' : first, path: reference.slice(slash + 1) };
}
