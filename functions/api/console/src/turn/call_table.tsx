import { useEffect, useRef } from "preact/hooks";
import type { Turn } from "../api/types.ts";
import { count, sumUsage, TOKEN_CLASSES } from "../parts/counts.ts";
import { exactUsd, plainUsd, sumUsd, usd } from "../parts/money.ts";
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
  return (
    <ScrollArea label={names.caption}>
      <table class="dense">
        <caption class="hidden">{names.caption}</caption>
        <Head />
        <tbody>
          {waterfall.lanes.map((lane) => (
            <Row
              key={nameOf(lane.call)}
              lane={lane}
              label={props.labelOf(lane)}
              turn={props.turn}
              error={attempts.find((attempt) => nameOf(attempt) === nameOf(lane.call))?.error ?? null}
              isMarked={nameOf(lane.call) === marked}
            />
          ))}
        </tbody>
        <Foot calls={waterfall.lanes.map((lane) => lane.call)} turn={props.turn} />
      </table>
    </ScrollArea>
  );
}

function Head() {
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
        {TOKEN_CLASSES.map((name) => (
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

function Row(props: { lane: Lane; label: string; turn: Turn; error: string | null; isMarked: boolean }) {
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
      {TOKEN_CLASSES.map((name) => (
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
  const detail = [strings.toneDetails[lane.tone], error && words.error(error)].filter(Boolean).join(": ");
  return (
    <>
      <span class={`tag ${TAGS[lane.tone]}`}>{strings.tones[lane.tone]}</span>
      {detail && <span class="small muted">{detail}.</span>}
    </>
  );
}

function Cost({ call, turn }: { call: Call; turn: Turn }) {
  if (call.cost_usd === null) return <>{strings.noTime}</>;
  const address = ledgerOf(turn, { agent_key: call.agent_key ?? "", purpose: call.purpose });
  return (
    <a href={address} title={exactUsd(plainUsd(call.cost_usd))}>
      {usd(call.cost_usd)}
    </a>
  );
}

function Foot({ calls, turn }: { calls: Call[]; turn: Turn }) {
  const usage = sumUsage(calls.map((call) => call.usage));
  const sum = sumUsd(calls.map((call) => call.cost_usd ?? "0"));
  return (
    <tfoot>
      <tr>
        <th scope="row" colSpan={6}>
          {names.total}
        </th>
        {TOKEN_CLASSES.map((name) => (
          <td key={name} class="number">
            {count(usage[name])}
          </td>
        ))}
        <td class="number">
          <a href={ledgerOf(turn)} title={exactUsd(plainUsd(sum))}>
            {usd(sum)}
          </a>
        </td>
      </tr>
    </tfoot>
  );
}
