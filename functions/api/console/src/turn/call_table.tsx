import { useEffect, useRef } from "preact/hooks";
import type { Turn } from "../api/types.ts";
import { count, sumUsage, TOKEN_CLASSES } from "../parts/counts.ts";
import { exactUsd, plainUsd, sumUsd } from "../parts/money.ts";
import { ScrollArea } from "../parts/scroll_area.tsx";
import { duration } from "../parts/time.ts";
import { turn as strings, words } from "../strings.ts";
import type { Attempt } from "./audit.tsx";
import type { Call } from "./calls.ts";
import { type Lane, nameOf, type Waterfall } from "./lanes.ts";
import { ledgerOf } from "./ledger_link.ts";

interface Props {
  turn: Turn;
  waterfall: Waterfall;
  labelOf: (lane: Lane) => string;
  attempts: Attempt[];
  marked: string | null;
}

const names = strings.table;

/** The figures of the waterfall, a row for each call. */
export function CallTable(props: Props) {
  const { waterfall, attempts, marked } = props;
  const calls = waterfall.lanes.map((lane) => lane.call);
  const classes = classesOf(calls);
  return (
    <ScrollArea label={names.caption}>
      <table class="dense">
        <caption class="hidden">{names.caption}</caption>
        <Head classes={classes} />
        <tbody>
          {waterfall.lanes.map((lane) => (
            <Row
              key={nameOf(lane.call)}
              lane={lane}
              label={props.labelOf(lane)}
              turn={props.turn}
              classes={classes}
              error={attempts.find((attempt) => nameOf(attempt) === nameOf(lane.call))?.error ?? null}
              isMarked={nameOf(lane.call) === marked}
            />
          ))}
        </tbody>
        <Foot lanes={waterfall.lanes} classes={classes} turn={props.turn} />
      </table>
    </ScrollArea>
  );
}

type Classes = readonly (typeof TOKEN_CLASSES)[number][];

/** The classes of tokens that these calls have. Input and output are always shown. */
function classesOf(calls: readonly Call[]): Classes {
  const sum = sumUsage(calls.map((call) => call.usage));
  return TOKEN_CLASSES.filter((name) => name === "input_tokens" || name === "output_tokens" || sum[name] > 0);
}

function Head({ classes }: { classes: Classes }) {
  return (
    <thead>
      <tr>
        <th scope="col">{names.step}</th>
        <th scope="col">{names.call}</th>
        <th scope="col">{names.model}</th>
        <th scope="col" class="number">
          {names.start}
        </th>
        <th scope="col" class="number">
          {names.time}
        </th>
        <th scope="col">{names.status}</th>
        {classes.map((name) => (
          <th key={name} scope="col" class="number">
            {words.tokens[name]}
          </th>
        ))}
        <th scope="col" class="number">
          {names.cost}
        </th>
      </tr>
    </thead>
  );
}

function Row(props: {
  lane: Lane;
  label: string;
  turn: Turn;
  classes: Classes;
  error: string | null;
  isMarked: boolean;
}) {
  const { lane, isMarked } = props;
  const { call } = lane;
  const place = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (isMarked) place.current?.scrollIntoView({ block: "center" });
  }, [isMarked]);
  return (
    <tr ref={place} class={isMarked ? "marked" : ""} aria-current={isMarked ? "true" : undefined}>
      <td>{call.step}</td>
      <th scope="row">
        {props.label}
        {call.attempt > 1 && <span class="small muted"> {strings.attempt(call.attempt)}</span>}
      </th>
      <td>{call.model_alias}</td>
      <td class="number">{duration(lane.start)}</td>
      <td class="number">{lane.tone === "running" ? strings.noTime : duration(lane.end - lane.start)}</td>
      <td class="outcome">
        <Outcome lane={lane} error={props.error} />
      </td>
      {props.classes.map((name) => (
        <td key={name} class="number">
          {count(call.usage[name])}
        </td>
      ))}
      <td class="number">
        <Cost call={call} turn={props.turn} />
      </td>
    </tr>
  );
}

const TAGS: Record<Lane["tone"], string> = {
  answered: "good",
  failed: "bad",
  refused: "bad",
  unknown: "warn",
  running: "",
};

function Outcome({ lane, error }: { lane: Lane; error: string | null }) {
  return (
    <>
      <span class={`tag ${TAGS[lane.tone]}`} title={strings.toneDetails[lane.tone] || undefined}>
        {strings.tones[lane.tone]}
      </span>
      {error && <span class="small muted">{words.error(error)}</span>}
      {isSettled(lane) && <span class="small muted">{strings.settled}</span>}
    </>
  );
}

/** Whether the outcome of a call became known after the turn had been stored. */
function isSettled({ call, tone }: Lane): boolean {
  return call.reason === "unknown_outcome" && tone !== "unknown";
}

function Cost({ call, turn }: { call: Call; turn: Turn }) {
  return <a href={ledgerOf(turn, { call: nameOf(call) })}>{exactUsd(plainUsd(call.cost_usd))}</a>;
}

/** The sums of all calls. The reserves of unknown calls are not paid by anybody, so they have a row of their own. */
function Foot({ lanes, classes, turn }: { lanes: readonly Lane[]; classes: Classes; turn: Turn }) {
  const usage = sumUsage(lanes.map((lane) => lane.call.usage));
  const isUnknown = (lane: Lane) => lane.tone === "unknown";
  const reserves = lanes.filter(isUnknown).map((lane) => lane.call.cost_usd);
  const costs = lanes.filter((lane) => !isUnknown(lane)).map((lane) => lane.call.cost_usd);
  return (
    <tfoot>
      <tr>
        <th scope="row" colSpan={6}>
          {names.total}
        </th>
        {classes.map((name) => (
          <td key={name} class="number">
            {count(usage[name])}
          </td>
        ))}
        <Sum amounts={costs} address={ledgerOf(turn)} />
      </tr>
      {reserves.length > 0 && (
        <tr>
          <th scope="row" colSpan={6 + classes.length}>
            {names.suspense}
          </th>
          <Sum amounts={reserves} address={ledgerOf(turn, { account: "suspense" })} />
        </tr>
      )}
    </tfoot>
  );
}

function Sum({ amounts, address }: { amounts: readonly string[]; address: string }) {
  const sum = sumUsd(amounts);
  return (
    <td class="number">
      <a href={address}>{exactUsd(plainUsd(sum))}</a>
    </td>
  );
}
