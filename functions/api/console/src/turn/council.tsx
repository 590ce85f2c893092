import type { Turn } from "../api/types.ts";
import { ScrollArea } from "../parts/scroll_area.tsx";
import { turn as strings } from "../strings.ts";
import type { NameOf } from "./names.ts";
import { hasEnded } from "./watching.ts";

/** How the members of a council ranked each other. */
export function Council({ turn, nameOf }: { turn: Turn; nameOf: NameOf }) {
  if (!turn.reviews || !turn.standings || !hasEnded(turn)) return null;
  return (
    <section class="stack">
      <h2>{strings.council}</h2>
      {turn.standings.length === 0 ? (
        <p class="muted">
          {turn.fallbacks.some((each) => each.component === "review")
            ? strings.noUsableReviews
            : strings.noReviews}
        </p>
      ) : (
        <div class="two">
          <Standings standings={turn.standings} nameOf={nameOf} />
          <Reviews reviews={turn.reviews} nameOf={nameOf} />
        </div>
      )}
    </section>
  );
}

function Standings({ standings, nameOf }: { standings: NonNullable<Turn["standings"]>; nameOf: NameOf }) {
  return (
    <div class="stack">
      <h3>{strings.standings}</h3>
      <table class="dense">
        <caption class="hidden">{strings.standings}</caption>
        <thead>
          <tr>
            <th scope="col">{strings.rank}</th>
            <th scope="col">{strings.agent}</th>
            <th scope="col" class="number">
              {strings.average}
            </th>
          </tr>
        </thead>
        <tbody>
          {standings.map((each, index) => (
            <tr key={each.agent_key}>
              <td>{index + 1}</td>
              <td>{index === 0 ? <strong>{nameOf(each.agent_key)}</strong> : nameOf(each.agent_key)}</td>
              <td class="number">{each.average_rank}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="small muted">{strings.standingsNote}</p>
    </div>
  );
}

function Reviews({ reviews, nameOf }: { reviews: NonNullable<Turn["reviews"]>; nameOf: NameOf }) {
  const places = Math.max(0, ...reviews.map((review) => review.ranking.length));
  return (
    <div class="stack">
      <h3>{strings.reviewsTitle}</h3>
      <ScrollArea label={strings.reviewsTitle}>
        <table class="dense">
          <caption class="hidden">{strings.reviewsTitle}</caption>
          <thead>
            <tr>
              <th scope="col">{strings.reviewer}</th>
              {Array.from({ length: places }, (_, place) => (
                <th key={place} scope="col">
                  {strings.place(place + 1)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {reviews.map((review) => (
              <tr key={review.agent_key}>
                <th scope="row">{nameOf(review.agent_key)}</th>
                {review.ranking.map((key) => (
                  <td key={key}>{nameOf(key)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollArea>
    </div>
  );
}
