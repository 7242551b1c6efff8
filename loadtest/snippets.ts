export type BenchRuntime = 'node' | 'python';
export const benchRuntimes: readonly BenchRuntime[] = ['node', 'python'];

/** The least that shows that code ran: every answer is checked against `stdout`. */
export const snippets = {
  node: { code: 'console.log(1+1)', entry: 'index.js', stdout: '2\n' },
  python: { code: 'print(1+1)', entry: 'main.py', stdout: '2\n' },
} as const;
