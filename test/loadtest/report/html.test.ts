import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { renderHtml } from '../../../loadtest/report/html.ts';
import type { Report } from '../../../loadtest/report/schema.ts';
import { makeReport, makeSeries } from './make-report.ts';

const run = promisify(execFile);
const hostile = `"><script>alert('1')</script><img src=x onerror=alert(2)>{a|b}]]></style>`;

const empty: Report = {
  ...makeReport(),
  floors: [],
  controls: [],
  series: [],
  density: [],
  timelines: [],
  ratios: [],
  notes: [],
};
const kinds: [title: string, data: Partial<Report>][] = [
  ['Latency, cumulative', { series: [makeSeries('warm node', 'node', [1, 2, 3])] }],
  ['Phases of a median request', { series: [makeSeries('warm node', 'node', [1, 2, 3])] }],
  ['Throughput against concurrency', { series: ramp() }],
  ['Latency against concurrency', { series: ramp() }],
  ['Memory against sandboxes alive', { density: makeReport().density }],
  ['Memory of each sandbox', { density: makeReport().density }],
  ['soak, rate', { timelines: makeReport().timelines.slice(0, 1) }],
  ['soak: memory', { timelines: makeReport().timelines.slice(1, 3) }],
  ['Floors, ourselves and others', { floors: makeReport().floors }],
];

describe('the page', () => {
  test('refers to nothing outside of itself, and has no script', () => {
    const page = renderHtml(makeReport());
    // Namespaces of SVG are names, not places.
    const text = page.replaceAll(/ xmlns(:\w+)?="[^"]*"/g, '');
    expect(text).not.toMatch(/\b(src|href|action|data|srcset|xlink:href)\s*=/i);
    expect(text).not.toMatch(/<(script|link|iframe|object|embed|base|img)\b/i);
    expect(text).not.toMatch(/@import|url\((?!#)/i);
    expect(text).not.toMatch(/\bon\w+\s*=\s*["']/i);
    expect(text).toContain("default-src 'none'");
  });

  test.each(kinds)('has the plot “%s” where there is data for it, and only there', (title, data) => {
    expect(titles(renderHtml({ ...empty, ...data }))).toContain(title);
    expect(titles(renderHtml(empty))).not.toContain(title);
  });

  test('without data has no plot at all, but the machine', () => {
    const page = renderHtml(empty);
    expect(page).not.toContain('<svg');
    expect(page).toContain(empty.machine.kernel);
    expect(page).toContain(empty.machine.revision);
  });

  test('has every figure of a plot in a table, too', () => {
    const page = renderHtml({ ...empty, series: [makeSeries('warm node', 'node', [1.25, 2.5, 3.75])] });
    expect(page).toMatch(/<th scope="row">node<\/th><td>2\.50 ms<\/td>/);
  });

  test('escapes whatever another machine says', () => {
    const report = makeReport();
    const page = renderHtml({
      ...report,
      url: hostile,
      scenarios: [hostile],
      machine: { ...report.machine, model: hostile, revision: hostile, kernel: hostile },
      floors: report.floors.map((floor) => ({ ...floor, name: floor.name + hostile })),
      controls: report.controls.map((control) => ({
        ...control,
        name: hostile,
        version: hostile,
        reason: hostile,
      })),
      series: report.series.map((series) => ({
        ...series,
        name: series.name + hostile,
        workload: series.workload + hostile,
        failureSamples: [hostile],
        starts: { [hostile]: 1 },
        phaseMs: Object.fromEntries(
          Object.entries(series.phaseMs).map(([name, spread]) => [name + hostile, spread]),
        ),
      })),
      density: report.density.map((density) => ({ ...density, workload: hostile })),
      timelines: report.timelines.map((timeline) => ({
        ...timeline,
        name: timeline.name + hostile,
        unit: hostile,
      })),
      ratios: report.ratios.map((ratio) => ({ ...ratio, name: hostile, of: hostile, to: hostile })),
      notes: [hostile],
    });
    expect(page).not.toMatch(/<(script|img)/i);
    expect(page.match(/<\/style>/g)).toHaveLength(1);
    expect(page).toContain('&lt;script&gt;');
  });

  test('is drawn from figures that are missing, nil, negative or enormous', () => {
    for (const value of [Number.NaN, 0, -1, 1e300]) {
      const series = [1, 2, 4].map((concurrency) => ({
        ...makeSeries('ramp node', 'node', [value]),
        concurrency,
        ratePerSecond: value,
      }));
      const points = [1, 2].map((alive) => ({
        alive,
        answering: 0,
        unavailableBytes: value,
        cgroupBytes: value,
        perSandboxBytes: value,
      }));
      const page = renderHtml({
        ...empty,
        series: [...series, makeSeries('warm node', 'node', [value])],
        floors: [{ name: 'clone + wait', latencyMs: makeSeries('', '', [value]).latencyMs }],
        density: [{ workload: 'node', points, slopeBytes: value }],
        timelines: [
          {
            name: 'soak, rate',
            unit: 'per second',
            points: [
              [0, value],
              [value, value],
            ],
          },
        ],
      });
      expect(page).toContain('</html>');
    }
  });

  test('opens in a browser without a complaint', async (context) => {
    const browser = await installedBrowser();
    if (browser === undefined) return context.skip('no Chromium is installed');
    const directory = await mkdtemp(join(tmpdir(), 'oncebox-page-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const file = join(directory, 'report.html');
    await writeFile(file, renderHtml(makeReport()));
    const { stdout, stderr } = await run(
      browser,
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        `--user-data-dir=${directory}`,
        '--enable-logging=stderr',
        '--dump-dom',
        `file://${file}`,
      ],
      { maxBuffer: 64 * 1024 * 1024 },
    );
    expect(stdout.match(/<svg/g)?.length).toBeGreaterThan(10);
    expect(stderr).not.toMatch(/CONSOLE|Content.Security.Policy/i);
  });
});

function ramp() {
  return [1, 2, 4].map((concurrency) => ({ ...makeSeries('ramp node', 'node', [1, 2, 3]), concurrency }));
}

function titles(page: string): string[] {
  return [...page.matchAll(/<figcaption><strong>([^<]*)<\/strong>/g)].map(([, title]) => title ?? '');
}

async function installedBrowser(): Promise<string | undefined> {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const isThere = await run(name, ['--version']).catch(() => undefined);
    if (isThere) return name;
  }
  return undefined;
}
