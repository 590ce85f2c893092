import "uplot/dist/uPlot.min.css";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Total } from "../api/types.ts";
import { sumUsd, usd } from "../parts/money.ts";
import { useWidth } from "../parts/use_width.ts";
import { pay as strings } from "../strings.ts";
import { daysOf, type Period, utcDay } from "./period.ts";
import { lengthOf, paid } from "./sums.ts";

interface Props {
  title: string;
  totals: Total[];
  period: Period;
}

const HEIGHT = 260;

/** A bar for each day of the period: what the tenant pays, and the platform's share on top of it. */
export function DayChart({ title, totals, period }: Props) {
  const [place, width] = useWidth<HTMLDivElement>(480);
  const canvas = useRef<HTMLDivElement>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const scheme = useScheme();
  const days = daysOf(period);
  const byDay = new Map(totals.map((total) => [total.day, total]));
  const rows = days.map((day) => byDay.get(day));
  useEffect(() => {
    if (!canvas.current) return;
    const data: uPlot.AlignedData = [
      days.map((day) => Date.parse(day) / 1000),
      rows.map((row) => (row ? lengthOf(paid(row)) : null)),
      rows.map((row) => (row ? lengthOf(row.cost_usd) : null)),
    ];
    const plot = new uPlot(optionsOf(width, canvas.current, setPointed), data, canvas.current);
    return () => plot.destroy();
  }, [width, totals, period.from, period.to, scheme]);
  const together = usd(sumUsd(totals.map(paid)));
  return (
    <div ref={place} class="days">
      <div ref={canvas} role="img" aria-label={strings.chartLabel(title, together)} />
      <p class="small muted">
        {pointed === null ? strings.hover : pointedText(days[pointed], rows[pointed])}
      </p>
    </div>
  );
}

function pointedText(day: string | undefined, row: Total | undefined): string {
  if (!day) return strings.hover;
  return strings.bar(utcDay(day), usd(row?.cost_usd ?? "0"), usd(row?.platform_cost_usd ?? "0"));
}

function optionsOf(width: number, place: Element, point: (index: number | null) => void): uPlot.Options {
  const style = getComputedStyle(place);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = `12px ${colour("--sans")}`;
  const axis = { stroke: colour("--muted"), font, ticks: { show: false } };
  const bars = uPlot.paths.bars?.({ size: [0.7, 48] });
  const filled = (label: string, fill: string): uPlot.Series => ({
    label,
    fill,
    stroke: fill,
    width: 0,
    points: { show: false },
    ...(bars && { paths: bars }),
  });
  return {
    width,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: true, range: (_, low, high) => [low - 43_200, high + 43_200] },
      y: { range: fromZero },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        values: (_, ticks) => ticks.map((at) => utcDay(isoOf(at))),
        space: 60,
      },
      {
        ...axis,
        grid: { stroke: colour("--line"), width: 1 },
        values: (_, ticks) => ticks.map(amountOf),
        size: 74,
      },
    ],
    // The sum is drawn first, so that the tenant's bar covers its lower part.
    series: [
      {},
      filled(strings.figures.platform, colour("--platform")),
      filled(strings.figures.cost, colour("--accent")),
    ],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)] },
  };
}

function fromZero(_: uPlot, __: number, high: number): uPlot.Range.MinMax {
  return [0, high > 0 ? high * 1.08 : 1];
}

function amountOf(value: number): string {
  return usd(value.toFixed(9));
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/** Return whether the colours are dark, because a canvas does not follow the style sheet. */
function useScheme(): boolean {
  const [query] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [isDark, setIsDark] = useState(query.matches);
  useEffect(() => {
    const follow = () => setIsDark(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, [query]);
  return isDark;
}
