/** Whether a JSON text can be parsed without loss of digits: JavaScript knows integers to 2^53. Those in strings count, too. */
export function isExact(text: string): boolean {
  for (const [digits] of text.matchAll(/(?<![\d.])\d{16,}/g))
    if (String(Number(digits)) !== digits) return false;
  return true;
}

/** What the interpreters put before the value, which is the last they say. */
const beforeValue = /^\{"type": ?"result",(?: ?"initMs": ?[\d.]{1,30},)? ?"value": ?/;

/**
 * The JSON text of the value in what an interpreter says, where parsing it loses digits. Undefined where it does not, and where
 * it is no text of one value: user code can write there too.
 */
export function resultJsonOf(message: string): string | undefined {
  if (isExact(message)) return undefined;
  const [before] = beforeValue.exec(message) ?? [];
  if (before === undefined) return undefined;
  const text = message.slice(before.length, message.lastIndexOf('}'));
  try {
    JSON.parse(text);
    return text;
  } catch {
    return undefined;
  }
}
