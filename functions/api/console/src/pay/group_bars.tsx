import type { Total } from "../api/types.ts";
import { sumUsd, usd } from "../parts/money.ts";
import { useWidth } from "../parts/use_width.ts";
import { pay as strings } from "../strings.ts";
import { lengthOf, paid, type Sums, topOf } from "./sums.ts";

const MOST = 12;
const ROW = 34;
const BAR = 16;
const CHARACTER = 7;

/** Horizontal bars, the most expensive first. */
export function GroupBars(props: { title: string; totals: Total[]; labelOf: (total: Total) => string }) {
  const [place, width] = useWidth<HTMLDivElement>(480);
  const [top, others, count] = topOf(props.totals, MOST);
  const bars: [string, Sums][] = top.map((total) => [props.labelOf(total), total]);
  if (others) bars.push([strings.others(count), others]);
  const longest = Math.max(...bars.map(([, sums]) => lengthOf(paid(sums))), Number.MIN_VALUE);
  const left = Math.min(width * 0.36, 170);
  const room = Math.max(20, width - left - 74);
  const together = usd(sumUsd(bars.map(([, sums]) => paid(sums))));
  return (
    <div ref={place} class="bars">
      <svg
        role="img"
        aria-label={strings.chartLabel(props.title, together)}
        width={width}
        height={Math.max(44, bars.length * ROW)}
      >
        {bars.map(([name, sums], index) => (
          <Bar
            key={name}
            {...{ name, sums, left }}
            top={index * ROW}
            scale={room / longest}
            characters={(left - 12) / CHARACTER}
          />
        ))}
      </svg>
    </div>
  );
}

function Bar(props: {
  name: string;
  sums: Sums;
  top: number;
  left: number;
  scale: number;
  characters: number;
}) {
  const { name, sums, top, left, scale, characters } = props;
  const cost = lengthOf(sums.cost_usd) * scale;
  const platform = lengthOf(sums.platform_cost_usd) * scale;
  const middle = top + ROW / 2;
  const box = { y: middle - BAR / 2, height: BAR };
  return (
    <g>
      <title>{strings.bar(name, usd(sums.cost_usd), usd(sums.platform_cost_usd))}</title>
      <text class="name" x={0} y={middle + 4}>
        {name.length > characters ? `${name.slice(0, Math.floor(characters) - 1)}…` : name}
      </text>
      <rect class="tenant" x={left} width={Math.max(cost, 1)} {...box} />
      <rect class="platform" x={left + cost} width={platform} {...box} />
      <text class="sum" x={left + cost + platform + 8} y={middle + 4}>
        {usd(paid(sums))}
      </text>
    </g>
  );
}
