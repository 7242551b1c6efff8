import { StoreError } from './store-error.ts';

/** A name for an image, taken apart. */
export interface Reference {
  /** Host, with port; undefined where the name says none. */
  registry?: string | undefined;
  /** `library/alpine`, without the registry. */
  path: string;
  tag?: string | undefined;
  /** `sha256:…` */
  digest?: string | undefined;
}

export const localRegistry = 'localhost';
const dockerHub = 'docker.io';
const defaultTag = 'latest';
const maxNameLength = 255;

const digestPattern = /^sha256:[a-f0-9]{64}$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const componentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const hostPart = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const hostPattern = new RegExp(`^(?:${hostPart}(?:\\.${hostPart})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`);

/**
 * Reads `[registry/]name[:tag][@sha256:…]` by the grammar of github.com/distribution/reference (reference.go,
 * regexp.go and, for what is a registry, normalize.go). Throws StoreError `invalid_request`.
 */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !digestPattern.test(digest)) {
    throw invalid(text, 'what follows the @ must be sha256: and 64 hex digits');
  }
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const tag = colon > named.lastIndexOf('/') ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagPattern.test(tag)) {
    throw invalid(text, `"${tag}" is no tag: up to 128 letters, digits, "_", "." and "-"`);
  }
  const name = tag === undefined ? named : named.slice(0, colon);
  const { registry, path } = splitRegistry(name);
  if (registry !== undefined && !hostPattern.test(registry)) throw invalid(text, `"${registry}" is no host`);
  for (const component of path.split('/')) {
    if (componentPattern.test(component)) continue;
    const lower = componentPattern.test(component.toLowerCase());
    throw invalid(text, lower ? 'the name must be in lower case' : `"${component}" is no part of a name`);
  }
  if (name.length > maxNameLength) throw invalid(text, `the name is longer than ${maxNameLength} characters`);
  return { registry, path, tag, digest };
}

/** The name without tag and digest, with its registry: how a registry's own client asks for it. */
export function repositoryOf({ registry = dockerHub, path }: Reference): string {
  // Docker Hub keeps its own images there, and nobody writes it.
  const library = registry === dockerHub && !path.includes('/') ? 'library/' : '';
  return `${registry}/${library}${path}`;
}

/** In full, for something that is pulled: without a registry it is Docker Hub's. A digest makes the tag idle. */
export function pullName(reference: Reference): string {
  const { tag = defaultTag, digest } = reference;
  return repositoryOf(reference) + (digest === undefined ? `:${tag}` : `@${digest}`);
}

/** In full, for something that is made here: without a registry it is `localhost/…`. Throws where it has a digest. */
export function localName(text: string): string {
  const reference = parseReference(text);
  if (reference.digest !== undefined) throw invalid(text, 'an image gets its digest by itself: give a name');
  return pullName({ ...reference, registry: reference.registry ?? localRegistry });
}

/**
 * What a reference looks up: the first of some full names that is there, and else the manifest's digest. A name with a
 * digest is a name too: it may be that of an index, of which the manifest was chosen.
 */
export function lookupOf(text: string): { names: readonly string[]; digest?: string } {
  if (digestPattern.test(text)) return { names: [], digest: text };
  const reference = parseReference(text);
  const registries = reference.registry === undefined ? [localRegistry, dockerHub] : [reference.registry];
  const { digest } = reference;
  const names = registries.map((registry) => pullName({ ...reference, registry }));
  return digest === undefined ? { names } : { names, digest };
}

/** As in Docker: the first part is a host if it has a dot or a port, is `localhost`, or has capitals. */
function splitRegistry(name: string): { registry: string | undefined; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, slash);
  const isHost =
    slash > 0 && (/[.:]/.test(first) || first === localRegistry || first !== first.toLowerCase());
  if (!isHost) return { registry: undefined, path: name };
  const registry = first === 'index.docker.io' ? dockerHub : first;
  return { registry, path: name.slice(slash + 1) };
}

function invalid(text: string, reason: string): StoreError {
  return new StoreError('invalid_request', `cannot read image reference "${text}": ${reason}`);
}
