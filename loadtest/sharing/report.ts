import { columns } from '../columns.ts';
import type { Machine } from '../machine/machine.ts';
import { payloadBytes } from './bench-layers.ts';
import type { SharingSeries } from './measure.ts';

export interface SharingResult {
  at: string;
  machine: Machine;
  series: SharingSeries[];
}

const explanation = `on disk: the layers that the sandboxes are stacked on
cached: page cache of these layers' files, by mincore
charged cache: page cache charged to the sandboxes and their zone; a page belongs to who touched it first, so a
  second copy of a file would be charged a second time
charged in all: every byte that the kernel charged to them, page cache and zygote included
unavailable: how much less MemAvailable is than before the first one; it counts page cache as available
by copies: what N copies of the files that each sandbox reads would take
per sandbox: least squares over N`;

export function formatSharing({ machine, series }: SharingResult): string {
  const facts = Object.entries(machine).map(([name, value]) => [name, [value].flat().join(' ')]);
  return [columns(facts), ...series.map(formatSeries), explanation].join('\n\n');
}

function formatSeries({ kind, layers, rows, perSandbox }: SharingSeries): string {
  const title = layers === 'shared' ? `${kind}, one image` : `${kind}, a private copy for each (the control)`;
  const table = columns([
    ['N', 'on disk', 'cached', 'charged cache', 'charged in all', 'unavailable', 'by copies'],
    ...rows.map((row) => [
      `${row.sandboxes}`,
      ...[row.diskBytes, row.cachedBytes, row.chargedFileBytes, row.chargedBytes, row.unavailableBytes].map(
        MB,
      ),
      MB(row.sandboxes * payloadBytes),
    ]),
    [
      'per sandbox',
      ...[perSandbox.diskBytes, perSandbox.cachedBytes, perSandbox.chargedFileBytes].map(MB),
      ...[perSandbox.chargedBytes, perSandbox.unavailableBytes, payloadBytes].map(MB),
    ],
  ]);
  return `${title}\n${table}`;
}

function MB(bytes: number): string {
  const text = (bytes / 1e6).toFixed(2);
  // Least squares leave a rest where nothing grows.
  return `${text === '-0.00' ? '0.00' : text} MB`;
}
