import type { Config, Descriptor } from './oci-schemas.ts';
import { StoreError } from './store-error.ts';

/** Go's names of this machine's architecture, which images use (image-spec, image-index.md). */
const architectures: Record<string, string> = { x64: 'amd64', ia32: '386' };
export const architecture = architectures[process.arch] ?? process.arch;
/** What an image may say where it says more than the architecture. */
const variants: Record<string, readonly string[]> = { amd64: ['v1'], arm64: ['v8'] };

/** The manifest of an index for this machine. Throws StoreError `invalid_image` that lists what there is. */
export function choosePlatform(manifests: readonly Descriptor[], subject: string): Descriptor {
  const ours = manifests.filter(
    ({ platform }) =>
      platform?.os === 'linux' &&
      platform.architecture === architecture &&
      (!platform.variant || variants[architecture]?.includes(platform.variant)),
  );
  const [chosen] = ours;
  if (chosen) return chosen;
  const offered = manifests
    .map(({ platform }) => platform)
    // Attestations of builders have this one.
    .filter((platform) => platform?.os !== 'unknown')
    .map((platform) =>
      platform
        ? [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/')
        : 'no platform',
    );
  throw new StoreError(
    'invalid_image',
    `cannot use ${subject}: it is not made for linux/${architecture}, but for ${offered.join(', ') || 'nothing'}`,
  );
}

/** Throws StoreError `invalid_image` for an image of another machine. One that says nothing is taken. */
export function checkPlatform(config: Config, subject: string): void {
  const { os, architecture: made } = config;
  if ((os === '' || os === 'linux') && (made === '' || made === architecture)) return;
  throw new StoreError(
    'invalid_image',
    `cannot use ${subject}: it is made for ${os || 'linux'}/${made || architecture}, not for linux/${architecture}`,
  );
}
