import { useEffect, useRef } from "preact/hooks";
import type { Turn } from "../api/types.ts";
import { ask } from "../strings.ts";
import { chairPosition, type ShownReply, type ShownTurn } from "./live_turn.ts";
import { ReplyCard } from "./reply_card.tsx";
import { showFollower } from "./sticking.ts";
import { Reply } from "./turn_view.tsx";
import type { NameOf } from "./wording.ts";

/** The turns whose conclusion grew on this page. The view of a turn that has ended is another one. */
const watched = new Set<string>();

interface CouncilProps {
  shown: ShownTurn;
  nameOf: NameOf;
  isNewest: boolean;
}

/** Mode `council`: the conclusion first, then how the members ranked each other, then their answers. */
export function CouncilReplies({ shown, nameOf, isNewest }: CouncilProps) {
  const chair = chairPosition(shown);
  const members = shown.replies.filter((reply) => reply.position !== chair);
  const conclusion = shown.replies.find((reply) => reply.position === chair);
  return (
    <>
      {conclusion && <Conclusion shown={shown} chair={conclusion} members={members} nameOf={nameOf} />}
      {shown.ended && shown.turn?.status === "completed" && (
        <Standings turn={shown.turn} answers={members.filter(hasAnswered).length} nameOf={nameOf} />
      )}
      <details class="members" open={isNewest}>
        <summary>{ask.members(members.length)}</summary>
        {members.map((reply) => (
          <Reply key={reply.position} turnId={shown.turn?.id} reply={reply} nameOf={nameOf} />
        ))}
      </details>
    </>
  );
}

function Conclusion(props: { shown: ShownTurn; chair: ShownReply; members: ShownReply[]; nameOf: NameOf }) {
  const { shown, chair, members, nameOf } = props;
  const best = chair.reply && chair.reply.status !== "completed" ? bestOf(shown, members) : null;
  const place = useRef<HTMLDivElement>(null);
  const isLive = !shown.ended && chair.state === "writing";
  const turnId = shown.turn?.id ?? "";
  useEffect(() => {
    if (isLive) watched.add(turnId);
    if (watched.has(turnId)) showFollower(place.current);
  }, [isLive, shown.ended]);
  const isReviewing =
    !shown.ended && chair.state === "waiting" && members.every((reply) => reply.state === "ended");
  return (
    <div ref={place} class="stack">
      <ReplyCard
        turnId={shown.turn?.id}
        reply={chair}
        name={chair.name ?? nameOf(chair.agentKey)}
        label={ask.conclusion}
      />
      {isReviewing && <p class="small muted">{ask.reviewing}</p>}
      {best && (
        <ReplyCard
          turnId={shown.turn?.id}
          reply={best}
          name={best.name ?? nameOf(best.agentKey)}
          label={ask.bestAnswer}
        />
      )}
    </div>
  );
}

/** The member's answer that is the output in place of the chair's. */
function bestOf(shown: ShownTurn, members: ShownReply[]): ShownReply | null {
  const output = shown.turn?.output;
  return (output && members.find((reply) => reply.text === output)) || null;
}

function hasAnswered(reply: ShownReply): boolean {
  return reply.reply?.status === "completed";
}

function Standings({ turn, answers, nameOf }: { turn: Turn; answers: number; nameOf: NameOf }) {
  if (!turn.standings) return null;
  if (turn.standings.length === 0) {
    return <p class="small muted">{answers < 3 ? ask.noReviews : ask.noRanking}</p>;
  }
  return (
    <table class="standings">
      <caption class="small muted">{ask.standings}</caption>
      <thead>
        <tr>
          <th scope="col">{ask.place}</th>
          <th scope="col">{ask.agent}</th>
          <th scope="col" class="number">
            {ask.averageRank}
          </th>
        </tr>
      </thead>
      <tbody>
        {turn.standings.map((standing, index) => (
          <tr key={standing.agent_key}>
            <td>{index + 1}</td>
            <td>{nameOf(standing.agent_key)}</td>
            <td class="number">{standing.average_rank}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
