import { readFileSync } from 'node:fs';
import { pathInTree } from './markdown.ts';

export interface CodeBlock {
  language: string;
  text: string;
  /** Of its first line, from 1. */
  line: number;
  /** Why it is not run, as a comment before it says: `<!-- not run: … -->`. */
  notRun?: string;
  /** What it prints, where the next block shows it. */
  output?: string;
}

/** The fenced blocks of a document, in their order. A block of `text` right behind one that is run is what that prints. */
export function codeBlocksOf(file: string): CodeBlock[] {
  const document = readFileSync(pathInTree(file), 'utf8');
  const blocks: CodeBlock[] = [];
  let end = 0;
  for (const found of document.matchAll(/^```(\w*)\n(.*?)^```$/gms)) {
    const [whole, language = '', text = ''] = found;
    const between = document.slice(end, found.index).trim();
    end = found.index + whole.length;
    const last = blocks.at(-1);
    if (language === 'text' && between === '' && last) {
      last.output = text;
      continue;
    }
    const notRun = /<!-- not run: ([^>]+) -->$/.exec(between)?.[1];
    const line = document.slice(0, found.index).split('\n').length + 1;
    blocks.push({ language, text, line, ...(notRun && { notRun }) });
  }
  return blocks;
}

/** Whether it was printed: `…` stands for anything, and how the lines are broken is left open. */
export function isPrinted(output: string, printed: string): boolean {
  const flat = (text: string) => text.replaceAll(/\s+/g, '');
  const pattern = flat(output)
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${pattern}$`, 's').test(flat(printed));
}
