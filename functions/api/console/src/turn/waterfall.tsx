import { duration } from "../parts/time.ts";
import { useWidth } from "../parts/use_width.ts";
import { turn as strings } from "../strings.ts";
import { type Lane, nameOf, ticksOf, type Waterfall } from "./lanes.ts";

const ROW = 26;
const BAR = 14;
const GAP = 6;
const AXIS = 24;
/** A character of the small text is about so wide. */
const CHARACTER = 6.6;
/** The space behind the last bar, for its time. */
const AFTER = 64;

interface Drawing {
  lanes: Lane[];
  tops: number[];
  height: number;
  left: number;
  x: (milliseconds: number) => number;
}

/** Bars over time, one for each call. Attempts of a step are linked. */
export function WaterfallChart(props: {
  waterfall: Waterfall;
  labelOf: (lane: Lane) => string;
  marked: string | null;
}) {
  const [place, width] = useWidth<HTMLDivElement>(900);
  const { waterfall, marked } = props;
  const drawing = draw(waterfall, width);
  const label = strings.callsOf(waterfall.lanes.length, duration(waterfall.span));
  return (
    <div ref={place} class="waterfall card">
      <svg role="img" aria-label={label} width={width} height={drawing.height}>
        <Hatch />
        <Axis drawing={drawing} span={waterfall.span} width={width} />
        {waterfall.lanes.map((lane, index) => (
          <Row
            key={nameOf(lane.call)}
            drawing={drawing}
            index={index}
            label={props.labelOf(lane)}
            width={width}
            isMarked={nameOf(lane.call) === marked}
          />
        ))}
      </svg>
    </div>
  );
}

function draw(waterfall: Waterfall, width: number): Drawing {
  const left = width < 560 ? 104 : 190;
  const scale = Math.max(1, width - left - AFTER) / waterfall.span;
  let top = AXIS;
  const tops = waterfall.lanes.map((lane, index) => {
    if (index > 0) top += ROW + (lane.isFirst ? GAP : 0);
    return top;
  });
  const x = (milliseconds: number) => left + milliseconds * scale;
  return { lanes: waterfall.lanes, tops, height: top + ROW + 4, left, x };
}

function Axis({ drawing, span, width }: { drawing: Drawing; span: number; width: number }) {
  const ticks = ticksOf(span, width < 560 ? 3 : 8);
  return (
    <g>
      {ticks.map((tick) => (
        <g key={tick}>
          <line class="tick" x1={drawing.x(tick)} x2={drawing.x(tick)} y1={AXIS - 4} y2={drawing.height} />
          <text class="axis" x={drawing.x(tick)} y={12} text-anchor={tick ? "middle" : "start"}>
            {tickText(tick)}
          </text>
        </g>
      ))}
    </g>
  );
}

function Row(props: { drawing: Drawing; index: number; label: string; width: number; isMarked: boolean }) {
  const { drawing, index, width } = props;
  const lane = drawing.lanes[index];
  const top = drawing.tops[index];
  if (!lane || top === undefined) return null;
  const middle = top + ROW / 2;
  const start = drawing.x(lane.start);
  const end = Math.max(start + 3, drawing.x(lane.end));
  const label = lane.isFirst ? props.label : `↳ ${strings.attempt(lane.call.attempt)}`;
  return (
    <g>
      {props.isMarked && <rect class="mark" x={0} y={top} width={width} height={ROW} rx={5} />}
      {lane.isFirst && index > 0 && (
        <line class="tick" x1={0} x2={width} y1={top - GAP / 2} y2={top - GAP / 2} />
      )}
      <text class={lane.isFirst ? "lane" : "lane again"} x={6} y={middle + 4}>
        {cut(label, (drawing.left - 14) / CHARACTER)}
      </text>
      {!lane.isFirst && <Link drawing={drawing} index={index} />}
      <Bar lane={lane} start={start} end={end} middle={middle} />
      <text class="after" x={end + 8} y={middle + 4}>
        {SIGNS[lane.tone]}
        {lane.tone === "running" ? "…" : duration(lane.end - lane.start)}
      </text>
    </g>
  );
}

/** A sign shows the tone, too, for users who do not see its colour. */
export const SIGNS: Record<Lane["tone"], string> = {
  answered: "",
  failed: "✕ ",
  refused: "⊘ ",
  unknown: "? ",
  running: "",
};

export function Bar(props: {
  lane: Pick<Lane, "kind" | "tone">;
  start: number;
  end: number;
  middle: number;
}) {
  const { lane, start, end, middle } = props;
  const top = middle - BAR / 2;
  const kind = `bar ${lane.kind} ${lane.tone}`;
  if (lane.tone === "running") {
    const shape = `M${start} ${top}H${end}l6 ${BAR / 2}l-6 ${BAR / 2}H${start}z`;
    return <path class={`${kind} pulse`} d={shape} />;
  }
  const box = { x: start, y: top, width: end - start, height: BAR, rx: 3 };
  return (
    <>
      <rect class={kind} {...box} />
      {lane.tone === "failed" && <rect fill="url(#hatch)" {...box} />}
    </>
  );
}

/** A line from the end of an attempt to the start of the next one. */
function Link({ drawing, index }: { drawing: Drawing; index: number }) {
  const before = drawing.lanes[index - 1];
  const own = drawing.lanes[index];
  const from = drawing.tops[index - 1];
  const to = drawing.tops[index];
  if (!before || !own || from === undefined || to === undefined) return null;
  const end = Math.max(drawing.x(before.start) + 3, drawing.x(before.end));
  const middle = to + ROW / 2;
  const x = end - 1.5;
  const target = Math.max(x, drawing.x(own.start) - 1);
  return <path class="link" d={`M${x} ${from + ROW / 2 + BAR / 2}V${middle}H${target}`} />;
}

export function Hatch() {
  return (
    <defs>
      <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <line class="hatch" x1="0" y1="0" x2="0" y2="6" />
      </pattern>
    </defs>
  );
}

function tickText(milliseconds: number): string {
  if (milliseconds === 0) return "0";
  if (milliseconds < 1_000) return `${milliseconds} ms`;
  return milliseconds < 120_000 ? `${milliseconds / 1_000} s` : `${milliseconds / 60_000} min`;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…`;
}
