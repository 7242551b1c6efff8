/** JSON.parse takes any depth, but JSON.stringify overflows the stack of whoever passes the result on. */
const maxResultDepth = 512;

/** Whether JSON text nests deeper than whoever passes it on can take; looked at without recursion. */
export function isTooDeep(text: string): boolean {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString && character === '\\') at++;
    else if (character === '"') inString = !inString;
    else if (inString) continue;
    else if (character === '[' || character === '{') deepest = Math.max(deepest, ++depth);
    else if (character === ']' || character === '}') depth--;
  }
  return deepest > maxResultDepth;
}
