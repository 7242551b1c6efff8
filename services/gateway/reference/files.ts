import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);
const ours = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const theirs = (name: string) => readFileSync(resolve(`swagger-ui-dist/${name}`), 'utf8');

export const referencePage = ours('page.html');

/** What the page loads. Read with the code: the gateway's user need not be allowed to read this tree. */
export const referenceFiles = {
  'swagger-ui-bundle.js': { type: 'text/javascript', text: theirs('swagger-ui-bundle.js') },
  'swagger-ui.css': { type: 'text/css', text: theirs('swagger-ui.css') },
  'start.js': { type: 'text/javascript', text: ours('start.js') },
} as const;

export const referenceFileNames = Object.keys(referenceFiles) as (keyof typeof referenceFiles)[];
