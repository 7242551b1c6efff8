import { readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { compareReports, renderComparisonHtml } from './report/compare.ts';
import { type Report, reportSchema } from './report/schema.ts';

/** Compares two reports; the text for the terminal. The page is written beside the second. */
export async function compareFiles(before: string, after: string): Promise<string> {
  const [a, b] = [await readReport(before), await readReport(after)];
  const file = join(dirname(after), `${basename(before, '.json')}-to-${basename(after, '.json')}.html`);
  await writeFile(file, renderComparisonHtml(a, b));
  return `${compareReports(a, b)}\nwritten to ${file}\n`;
}

/** Rejects with a sentence when the file is no report of ours. */
async function readReport(path: string): Promise<Report> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `cannot read ${path}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
    );
  });
  const parsed = reportSchema.safeParse(parse(text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `cannot compare ${path}: it is no report of this tool (${issue?.path.join('.')}: ${issue?.message})`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
