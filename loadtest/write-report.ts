import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderHtml } from './report/html.ts';
import { type Report, reportSchema } from './report/schema.ts';

/** Writes the report as JSON and as one HTML page; resolves with the two paths. */
export async function writeReport(report: Report, directory: string): Promise<string[]> {
  await mkdir(directory, { recursive: true });
  const stem = join(directory, report.at.replaceAll(':', '-'));
  // What is written can be read again by `compare`: a wrong shape shows here, and not then.
  await writeFile(`${stem}.json`, `${JSON.stringify(reportSchema.parse(report), null, 2)}\n`);
  await writeFile(`${stem}.html`, renderHtml(report));
  return [`${stem}.json`, `${stem}.html`];
}
