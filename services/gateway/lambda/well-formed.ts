/** Without half a surrogate pair, which UTF-8 cannot hold: two different texts would become one. */
export function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}
