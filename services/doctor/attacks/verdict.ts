/** A wall did not hold, or a control did not succeed; the message says what was seen instead. */
export class Breach extends Error {
  override name = 'Breach';
}

/** What this machine has not: another architecture, no Python, no IPv6. */
export class NotHere extends Error {
  override name = 'NotHere';
}

/** Throws a `Breach` unless the condition holds. `seen` is what the report shows. */
export function must(condition: boolean, what: string, seen: unknown): asserts condition {
  if (condition) return;
  const text = typeof seen === 'string' ? seen : (JSON.stringify(seen) ?? 'nothing');
  throw new Breach(`${what}; seen: ${text.length > 1_500 ? `${text.slice(0, 1_500)}…` : text}`);
}
