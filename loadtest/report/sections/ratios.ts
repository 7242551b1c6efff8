import { digits, targetOf } from '../figures.ts';
import { dataTable, type Markup, markup, words } from '../markup.ts';
import type { Ratio, Report } from '../schema.ts';

/** Ratios hold on any machine: they come first. */
export function ratiosSection({ ratios }: Report): Markup | undefined {
  if (ratios.length === 0) return undefined;
  const judged = ratios.filter(({ met }) => met !== undefined);
  const met = judged.filter((ratio) => ratio.met);
  return markup`<section>
<h2>Ratios${judged.length > 0 && markup` <small>${met.length} of ${judged.length} targets met</small>`}</h2>
${dataTable(
  'Each from this one run',
  ['', 'Value', 'Target', '', words('Of'), words('To')],
  ratios.map((ratio) => [
    ratio.name,
    digits(ratio.value),
    targetOf(ratio),
    verdict(ratio),
    words(ratio.of),
    words(ratio.to),
  ]),
)}
</section>`;
}

function verdict({ met }: Ratio): Markup | string {
  if (met === undefined) return '';
  return met ? markup`<span class="met">✓ met</span>` : markup`<span class="missed">✗ not met</span>`;
}
