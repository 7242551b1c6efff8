/** As many as page.css has; further names begin again. */
const paletteSize = 8;

/** The colour of a name, the same in every plot of a page. */
export type ColourOf = (name: string) => string;

/** Gives each name a colour in order; one asked for that is not among them has the colour of the last. */
export function assignColours(names: Iterable<string>): ColourOf {
  const indexes = new Map([...new Set(names)].map((name, index) => [name, index]));
  return (name) => paletteColour(indexes.get(name) ?? paletteSize - 1);
}

export function paletteColour(index: number): string {
  return `var(--c${(index % paletteSize) + 1})`;
}
