import type { Limits } from '../../sdk/contract/limits.ts';
import type { Program } from '../../sdk/contract/program.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';

const entries = { node: 'index.js', python: 'main.py', bash: 'main.sh' } as const;

export interface RunOptions {
  limits?: Partial<Limits>;
  stdin?: string;
  args?: string[];
  env?: Record<string, string>;
  files?: { path: string; content: string; encoding: 'utf8' | 'base64' }[];
  secrets?: Record<string, string>;
  captureChanges?: boolean;
}

export function snippetOf(runtime: RuntimeName, code: string, options: RunOptions = {}): Program {
  const entry = entries[runtime];
  return {
    kind: 'snippet',
    files: [{ path: entry, content: code, encoding: 'utf8' }, ...(options.files ?? [])],
    entry,
    args: options.args ?? [],
    env: options.env ?? {},
  };
}
