import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { LabelLayout } from 'echarts/features';
import { SVGRenderer } from 'echarts/renderers';
import { raw } from 'hono/html';
import { type Markup, markup } from './markup.ts';

echarts.use([
  BarChart,
  GridComponent,
  LabelLayout,
  LegendComponent,
  LineChart,
  MarkLineComponent,
  SVGRenderer,
]);

/** Options as ECharts documents them: https://echarts.apache.org/en/option.html */
type PlotOption = echarts.EChartsCoreOption;

export interface Plot {
  title: string;
  /** How to read it. */
  caption?: string;
  /** Pixels; wider screens scale it up. */
  height?: number;
  /** `full`: as wide as the page, drawn a second time for narrow screens. */
  size?: 'half' | 'full';
  option(widthPx: number): PlotOption;
}

export const halfWidthPx = 400;
const fullWidthPx = 900;

/** A figure with its drawing as SVG: no script runs in the page, and colours are the page's own. */
export function renderPlot({ title, caption, height = 276, size = 'half', option }: Plot): Markup {
  const draw = (width: number) => raw(drawSvg(option(width), width, height));
  const drawings =
    size === 'half'
      ? draw(halfWidthPx)
      : markup`<div class="wide">${draw(fullWidthPx)}</div><div class="narrow">${draw(halfWidthPx)}</div>`;
  return markup`<figure class="plot ${size}" role="group" aria-label="${title}">
<figcaption><strong>${title}</strong>${caption !== undefined && markup` <span>${caption}</span>`}</figcaption>
<div aria-hidden="true">${drawings}</div>
</figure>`;
}

function drawSvg(option: PlotOption, width: number, height: number): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: 'inherit', fontSize: 12 }, ...option });
    // The styles are for hovering, of which a printed or still page has none.
    return chart.renderToSVGString().replace(/<style\b[\s\S]*?<\/style>/g, '');
  } finally {
    // Its clock would keep the process alive.
    chart.dispose();
  }
}

const text = 'var(--text-soft)';

/** The looks that all axes share; `settings` are ECharts' own. */
export function axis(settings: Record<string, unknown>): Record<string, unknown> {
  const { axisLabel, ...others } = settings as { axisLabel?: object };
  return {
    nameTextStyle: { color: text, fontSize: 12 },
    axisLine: { show: true, lineStyle: { color: 'var(--line-strong)' } },
    axisTick: { show: false },
    splitLine: { show: true, lineStyle: { color: 'var(--line)' } },
    minorSplitLine: { show: false },
    axisLabel: { color: text, fontSize: 12, hideOverlap: true, ...axisLabel },
    ...others,
  };
}

/** A horizontal axis, its name below it. */
export function xAxis(name: string, settings: Record<string, unknown> = {}): Record<string, unknown> {
  return axis({ type: 'value', name, nameLocation: 'middle', nameGap: 28, ...settings });
}

/** A vertical axis, its name above it, where it needs no turned head. */
export function yAxis(name: string, settings: Record<string, unknown> = {}): Record<string, unknown> {
  const nameTextStyle = { color: text, fontSize: 12, align: 'left', padding: [0, 0, 0, -44] };
  return { ...axis({ type: 'value', name, nameGap: 12, ...settings }), nameTextStyle };
}

export const grid = { left: 52, right: 16, top: 36, bottom: 46 };

/** Between the entries of a legend. */
const gapPx = 14;

/** A legend below the axis’ name; the grid has to leave it room by `legendHeight`. */
export function legend(names: readonly string[]): Record<string, unknown> {
  return {
    show: names.length > 1,
    data: [...names],
    type: 'plain',
    bottom: 0,
    left: 8,
    right: 8,
    itemWidth: 18,
    itemHeight: 8,
    itemGap: gapPx,
    padding: 0,
    textStyle: { color: 'var(--text)', fontSize: 12 },
  };
}

/** Room for the lines of text that a legend of these names wraps into, pixels. */
export function legendHeight(names: readonly string[], widthPx: number): number {
  if (names.length < 2) return 0;
  let [lines, usedPx] = [1, 0];
  for (const name of names) {
    const namePx = 23 + gapPx + 6 * name.length;
    if (usedPx > 0 && usedPx + namePx - gapPx > widthPx - 16) {
      lines += 1;
      usedPx = 0;
    }
    usedPx += namePx;
  }
  return lines * 24;
}

/** Keeps names of strangers short enough for a plot. */
export function shortened(name: string): string {
  const clean = name.replace(/\s+/g, ' ');
  return clean.length > 46 ? `${clean.slice(0, 45)}…` : clean;
}
