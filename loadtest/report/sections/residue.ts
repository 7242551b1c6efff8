import { digits } from '../figures.ts';
import { dataTable, type Markup, markup } from '../markup.ts';
import type { Report } from '../schema.ts';

/** What was left behind on the machine, and what the run has to say of itself. */
export function residueSection({ residue }: Report): Markup | undefined {
  if (!residue) return undefined;
  const { before, after } = residue;
  const kinds = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return markup`<section>
<h2>Left behind</h2>
${dataTable(
  'Counted before the load and after it',
  ['', 'Before', 'After'],
  kinds.map((kind) => {
    const [was, is] = [before[kind] ?? 0, after[kind] ?? 0];
    return [kind, digits(was), is > was ? markup`<span class="missed">${digits(is)}</span>` : digits(is)];
  }),
)}
</section>`;
}

export function notesSection({ notes }: Pick<Report, 'notes'>): Markup | undefined {
  if (notes.length === 0) return undefined;
  return markup`<section>
<h2>Notes</h2>
<ul>${notes.map((note) => markup`<li>${note}</li>`)}</ul>
</section>`;
}
