import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { raw } from 'hono/html';
import { type Markup, markup } from './markup.ts';

const style = readFileSync(join(import.meta.dirname, 'page.css'), 'utf8');
/** Nothing may run and nothing may be fetched, whatever a text of another machine contains. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

interface Page {
  title: string;
  subtitle: string;
  sections: readonly (Markup | undefined)[];
}

/** One file that needs no other: for a browser, a phone, a printer. */
export function renderPage({ title, subtitle, sections }: Page): string {
  return `${markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${raw(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}, ${subtitle}</title>
<style>
${raw(style)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p>${subtitle}</p>
</header>
<main>
${sections.filter((section) => section !== undefined)}
</main>
</body>
</html>`}\n`;
}
