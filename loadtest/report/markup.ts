import { html, type raw } from 'hono/html';

/** Text that is markup already; everything else is escaped where it is put in. */
export type Markup = ReturnType<typeof raw>;

/** A template whose values are escaped unless they are markup; lists are joined, and `false` is nothing. */
export function markup(strings: TemplateStringsArray, ...values: MarkupValue[]): Markup {
  // Only a promise among the values would make the result one.
  return html(strings, ...values) as Markup;
}

type MarkupValue = string | number | Markup | false | undefined | readonly MarkupValue[];

/** A table with a heading for each column; cells are figures, aligned to the right, unless they are `words`. */
export function dataTable(caption: string, head: Row, rows: readonly Row[]): Markup {
  return markup`<div class="scroll"><table>
<caption>${caption}</caption>
<thead><tr>${head.map((cell) => markup`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([first, ...others]) =>
      markup`<tr><th scope="row">${first}</th>${others.map((cell) => markup`<td>${cell}</td>`)}</tr>`,
  )}</tbody>
</table></div>`;
}

type Row = readonly (string | Markup)[];

/** A cell or a heading of text, which is aligned to the left and may wrap. */
export function words(text: string): Markup {
  return markup`<span class="words">${text}</span>`;
}
