import type { FunctionVersion } from '../../sdk/contract/function.ts';

const extensions = { node: ['.mjs', '.js', '.cjs'], python: ['.py'] } as const;

/** The files that could hold the handler, in the order the interpreter tries them: `index.handler` → `index.mjs`, … */
export function handlerFileCandidates(
  runtime: NonNullable<FunctionVersion['runtime']>,
  handler: string,
): string[] {
  const module = handler.slice(0, handler.lastIndexOf('.'));
  return extensions[runtime].map((extension) => module + extension);
}
