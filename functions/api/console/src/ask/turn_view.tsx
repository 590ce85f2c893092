import { useId, useMemo } from "preact/hooks";
import type { Problem } from "../api/problem.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { moment } from "../parts/time.ts";
import { ask } from "../strings.ts";
import { CouncilReplies } from "./council_replies.tsx";
import { chairPosition, type ShownReply, type ShownTurn } from "./live_turn.ts";
import { ReplyCard } from "./reply_card.tsx";
import { TurnActions } from "./turn_actions.tsx";
import { TurnFoot } from "./turn_foot.tsx";
import { codeWords, connectionWords, type NameOf, planWords, unknownTagWords } from "./wording.ts";

export interface TurnProps {
  shown: ShownTurn;
  nameOf: NameOf;
  isNewest: boolean;
  /** Given for the turn that runs. */
  sessionId?: string;
  problem?: Problem | null;
}

/** A message and all that came of it. */
export function TurnView({ shown, nameOf, isNewest, sessionId, problem }: TurnProps) {
  const title = useId();
  const isCouncil = chairPosition(shown) !== null;
  return (
    <article class="turn" aria-labelledby={title}>
      <h2 id={title} class="hidden">
        {shown.turn ? ask.turnNumber(shown.turn.turn_index) : ask.newTurn}
      </h2>
      <Asked shown={shown} />
      <Plan shown={shown} nameOf={nameOf} />
      {isCouncil ? (
        <CouncilReplies shown={shown} nameOf={nameOf} isNewest={isNewest} />
      ) : (
        shown.replies.map((reply) => (
          <Reply key={reply.position} turnId={shown.turn?.id} reply={reply} nameOf={nameOf} />
        ))
      )}
      <Ending shown={shown} />
      {problem && (
        <>
          <p>{ask.notFollowed}</p>
          <ErrorNote problem={problem} />
        </>
      )}
      <TurnFoot shown={shown} />
      {sessionId && !shown.ended && <TurnActions sessionId={sessionId} shown={shown} />}
    </article>
  );
}

/** A reply that is drawn again only when it changes. */
export function Reply(props: { turnId: string | undefined; reply: ShownReply; nameOf: NameOf }) {
  const { turnId, reply, nameOf } = props;
  const name = reply.name ?? nameOf(reply.agentKey);
  return useMemo(() => <ReplyCard turnId={turnId} reply={reply} name={name} />, [turnId, reply, name]);
}

/** The user's message stays the text that it is. */
function Asked({ shown }: { shown: ShownTurn }) {
  return (
    <div class="asked">
      <p class="message">{shown.message}</p>
      {shown.turn && (
        <time class="small muted" dateTime={shown.turn.created_at}>
          {moment(shown.turn.created_at)}
        </time>
      )}
    </div>
  );
}

function Plan({ shown, nameOf }: { shown: ShownTurn; nameOf: NameOf }) {
  const text = shown.plan ? planWords(shown, nameOf) : progress(shown);
  const unknown = unknownTagWords(shown);
  if (!text && !unknown) return null;
  return (
    <p class="plan small muted">
      {text} {unknown && <span class="warning">{unknown}</span>}
    </p>
  );
}

/** Show the state of a turn before its plan. */
function progress(shown: ShownTurn): string {
  if (shown.ended) return "";
  if (!shown.turn) return ask.sending;
  return shown.turn.mode === "orchestrator" ? ask.routing : ask.accepted;
}

function Ending({ shown }: { shown: ShownTurn }) {
  const connection = connectionWords(shown);
  if (!shown.ended) return connection ? <p class="note warn">{connection}</p> : null;
  const { status, error } = shown.turn ?? {};
  if (status === "cancelled") return <p class="note">{ask.turnStates.cancelled}</p>;
  if (status !== "failed") return null;
  return (
    <p class="note bad">
      {ask.turnStates.failed} {error && codeWords(error.code, error.detail)}
    </p>
  );
}
