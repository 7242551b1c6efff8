import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, vi } from 'vitest';

export interface TestRegistry {
  /** `127.0.0.1:<port>` */
  host(): string;
  /** Directory of its blobs: `docker/registry/v2/blobs/sha256/ab/ab…/data`. */
  storage(): string;
  /**
   * Lines of its access log, such as `GET /v2/app/blobs/sha256:… 200`, of what it has answered. The last may come a moment
   * later: who expects one asks until it is there.
   */
  requests(): Promise<readonly string[]>;
}

/**
 * Debian's docker-registry on a free loopback port, for the tests of one file. `auth` asks for these credentials; `tls`
 * gives it a certificate that nobody trusts.
 */
export function useRegistry(
  options: { auth?: { username: string; password: string }; tls?: boolean } = {},
): TestRegistry {
  const requests: string[] = [];
  let dir = '';
  let port = 0;
  let child: ReturnType<typeof spawn> | undefined;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'oncebox-registry-'));
    writeFileSync(join(dir, 'config.yml'), JSON.stringify(configOf(dir, options)));
    child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH ?? '', OTEL_TRACES_EXPORTER: 'none' },
    });
    const listening = new Promise<void>((resolve, reject) => {
      const onLine = (line: string) => {
        const found = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (found) {
          port = Number(found);
          resolve();
        }
        const request = /"(GET|HEAD|PUT|POST|PATCH) (\S+) HTTP[^"]*" (\d+)/.exec(line);
        if (request) requests.push(request.slice(1).join(' '));
      };
      for (const stream of [child?.stdout, child?.stderr]) {
        if (stream) createInterface({ input: stream }).on('line', onLine);
      }
      child?.once('error', () =>
        reject(new Error('docker-registry is missing: "node scripts/setup.mjs --tests" fetches it')),
      );
      child?.once('exit', (code) => reject(new Error(`docker-registry ended with ${code}`)));
    });
    await listening;
  });
  afterAll(async () => {
    if (child?.exitCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    }
    rmSync(dir, { recursive: true, force: true });
  });

  return {
    host: () => `127.0.0.1:${port}`,
    storage: () => join(dir, 'storage'),
    async requests() {
      // The log comes after the answers: with one of our own the others' are there, most often. Each request writes its own.
      const mark = `/v2/?${randomBytes(8).toString('hex')}`;
      await fetch(`http://127.0.0.1:${port}${mark}`);
      await vi.waitFor(() => expect(requests.join('\n')).toContain(mark), { timeout: 60_000 });
      return requests;
    },
  };
}

/** JSON is YAML. Port 0 is a free one. */
function configOf(dir: string, { auth, tls }: Parameters<typeof useRegistry>[0] = {}) {
  const certificate = join(dir, 'cert.pem');
  const key = join(dir, 'key.pem');
  if (tls) {
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const args = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      certificate,
    ];
    execFileSync('openssl', [...args, ...subject], { stdio: 'ignore' });
  }
  const htpasswd = join(dir, 'htpasswd');
  if (auth) {
    // bcrypt, as the C library's crypt(3) has it: the registry takes no other hash.
    const script = 'print crypt($ARGV[0], "\\$2y\\$05\\$abcdefghijklmnopqrstuu")';
    const hash = execFileSync('perl', ['-e', script, auth.password], { encoding: 'utf8' });
    writeFileSync(htpasswd, `${auth.username}:${hash}\n`);
  }
  return {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(dir, 'storage') }, delete: { enabled: true } },
    http: {
      addr: '127.0.0.1:0',
      secret: randomBytes(16).toString('hex'),
      ...(tls && { tls: { certificate, key } }),
    },
    ...(auth && { auth: { htpasswd: { realm: 'test', path: htpasswd } } }),
  };
}
