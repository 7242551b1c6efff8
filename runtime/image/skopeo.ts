import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { StoreError } from './store-error.ts';

/** A manifest or a configuration is some kilobytes; more than this is an attack. */
const maxOutputBytes = 16 * 1024 * 1024;
const maxErrorChars = 64 * 1024;
const retries = '2';

export interface SkopeoRun {
  /** Existing directory for its temporary files; it has no other home. */
  scratch: string;
  signal: AbortSignal;
  /** What it was to do, for messages: "pull docker.io/library/alpine:3.20". */
  doing: string;
  /** It works on files only: what it complains of is the image. */
  isLocal?: boolean;
  /** Told of every line on stdout. */
  onLine?: (line: string) => void;
}

export interface RegistryAccess {
  auth?: { username: string; password: string } | undefined;
  insecure: boolean;
}

/**
 * Runs skopeo(1), which speaks the registries' protocol for us, and resolves with its stdout. Rejects with StoreError
 * `registry_failed`, `invalid_image` or `storage_full`. It dies with this process.
 */
export async function runSkopeo(args: readonly string[], run: SkopeoRun): Promise<Buffer> {
  run.signal.throwIfAborted();
  // The machine's signature policy, where it has one.
  const policy = existsSync('/etc/containers/policy.json') ? [] : ['--insecure-policy'];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'skopeo', ...policy, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment(), HOME: run.scratch, TMPDIR: run.scratch, XDG_RUNTIME_DIR: run.scratch },
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const stop = () => child.kill('SIGKILL');
  run.signal.addEventListener('abort', stop);
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxOutputBytes) stop();
    else chunks.push(chunk);
  });
  if (run.onLine) createInterface({ input: child.stdout }).on('line', run.onLine);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-maxErrorChars);
  });
  const code = await ended
    .catch((error: NodeJS.ErrnoException) => {
      const missing =
        error.code === 'ENOENT' ? 'skopeo is not installed: run "npm run setup"' : error.message;
      throw new StoreError('registry_failed', `cannot ${run.doing}: ${missing}`, { cause: error });
    })
    .finally(() => run.signal.removeEventListener('abort', stop));
  run.signal.throwIfAborted();
  if (bytes > maxOutputBytes) {
    throw new StoreError('invalid_image', `cannot ${run.doing}: its manifest is larger than 16 MiB`);
  }
  if (code !== 0) throw explain(complaint, run);
  return Buffer.concat(chunks);
}

/** Options of a registry's side; `side` is `src-` or `dest-` for `copy`. Secrets go into a file, never into argv. */
export async function registryOptions(
  registry: string,
  { auth, insecure }: RegistryAccess,
  scratch: string,
  side: 'src-' | 'dest-' | '',
): Promise<string[]> {
  const authfile = join(scratch, 'auth.json');
  // Hub's credentials have had this name since Docker's first registry.
  const key = registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;
  const secret = auth && Buffer.from(`${auth.username}:${auth.password}`).toString('base64');
  const content = { auths: secret === undefined ? {} : { [key]: { auth: secret } } };
  await writeFile(authfile, JSON.stringify(content), { mode: 0o600 });
  return [
    ...['--retry-times', retries, `--${side}authfile`, authfile],
    ...(insecure ? [`--${side}tls-verify=false`] : []),
  ];
}

/** Proxies and certificates are the administrator's business; nothing else of ours is skopeo's. */
function environment(): Record<string, string> {
  const wanted = /^(PATH|LANG|(https?|no)_proxy|SSL_CERT_(FILE|DIR))$/i;
  const found = Object.entries(process.env).filter(([name]) => wanted.test(name));
  return Object.fromEntries(found) as Record<string, string>;
}

/** Skopeo's exit code says only that it failed; what its words mean was looked up in its sources and tried. */
const explanations: readonly {
  pattern: RegExp;
  code: 'registry_failed' | 'invalid_image';
  reason: string;
}[] = [
  {
    pattern: /digest did not match|does not match.*digest|digest mismatch|unexpected EOF in blob/i,
    code: 'invalid_image',
    reason: 'what the registry sent does not have the digest it should have',
  },
  {
    pattern: /manifest unknown|name unknown|not found|status 404|NAME_UNKNOWN/i,
    code: 'registry_failed',
    reason: 'the registry has no such image',
  },
  {
    pattern: /unauthorized|authentication required|access.*denied|status 40[13]|invalid username\/password/i,
    code: 'registry_failed',
    reason: 'the registry refuses: wrong credentials, none, or no access',
  },
  {
    pattern: /x509|certificate|server gave HTTP response to HTTPS client|tls: /i,
    code: 'registry_failed',
    reason: 'no trusted TLS connection to the registry; "insecure" goes without',
  },
  {
    pattern: /connection refused|no such host|network is unreachable|no route to host|server misbehaving/i,
    code: 'registry_failed',
    reason: 'the registry cannot be reached',
  },
  {
    pattern: /i\/o timeout|connection reset|EOF|broken pipe|status 50\d|TLS handshake timeout/i,
    code: 'registry_failed',
    reason: 'the connection to the registry broke, again and again',
  },
];

function explain(complaint: string, { doing, isLocal = false }: SkopeoRun): StoreError {
  const lines = complaint.trim().split('\n');
  const fatal = lines.findLast((line) => line.includes('level=fatal')) ?? lines.at(-1) ?? '';
  const quoted = /msg="((?:[^"\\]|\\.)*)"/.exec(fatal)?.[1]?.replaceAll(/\\(["\\])/g, '$1') ?? fatal;
  const said = quoted.slice(0, 1000);
  if (/no space left on device/i.test(complaint)) {
    return new StoreError('storage_full', `cannot ${doing}: the disk of the image store is full`);
  }
  if (isLocal) return new StoreError('invalid_image', `cannot ${doing}: ${said || 'skopeo failed'}`);
  const known = explanations.find(({ pattern }) => pattern.test(quoted));
  if (!known) return new StoreError('registry_failed', `cannot ${doing}: ${said || 'skopeo failed'}`);
  return new StoreError(known.code, `cannot ${doing}: ${known.reason} (${said})`);
}
