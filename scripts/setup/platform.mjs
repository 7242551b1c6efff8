import { readFileSync } from 'node:fs';
import { CommandError } from './progress.mjs';

const oldestKnown = { debian: 12, ubuntu: 22.04 };

/** What this machine is, as far as set-up cares. */
export function describePlatform() {
  const release = readOsRelease();
  const oldest = oldestKnown[release.ID];
  // Debian's testing and unstable have no version: they are newer than any that has.
  const isKnown = oldest !== undefined && !(Number(release.VERSION_ID) < oldest);
  return {
    name: release.PRETTY_NAME ?? 'an unknown distribution',
    isKnown,
    isRoot: process.getuid?.() === 0,
  };
}

/** Throws for what no installation can cure. */
export function refuseImpossible() {
  if (process.platform !== 'linux') {
    throw new CommandError(
      `oncebox needs Linux, and this is ${process.platform}: use a Linux machine or VM.`,
    );
  }
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new CommandError(
      `oncebox needs Node 20 or later, and this is ${process.version}: see https://nodejs.org/.`,
    );
  }
}

function readOsRelease() {
  try {
    const lines = readFileSync('/etc/os-release', 'utf8').split('\n');
    const pairs = lines
      .map((line) => /^([A-Z_]+)=["']?(.*?)["']?$/.exec(line))
      .filter((match) => match !== null);
    return Object.fromEntries(pairs.map(([, name, value]) => [name, value]));
  } catch {
    return {};
  }
}
