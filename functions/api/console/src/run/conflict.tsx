import { useEffect, useRef } from "preact/hooks";
import { lazy } from "../parts/lazy.tsx";
import { run } from "../strings.ts";

export const DiffView = lazy(() => import("./diff_view.tsx").then((room) => room.DiffView));

/** Somebody else was faster: show the difference and let the reader decide. */
export function Conflict(props: {
  mine: { version: number; text: string };
  theirs: { version: number; text: string };
  take: () => void;
  keep: () => void;
}) {
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), []);
  const words = run.conflict;
  return (
    <section class="note warn conflict">
      <h2 ref={title} tabIndex={-1}>
        {words.title}
      </h2>
      <p>{words.text(props.theirs.version, props.mine.version)}</p>
      <DiffView
        before={props.theirs.text}
        after={props.mine.text}
        label={run.diff.label(run.version(props.theirs.version), run.diff.yours)}
      />
      <div class="row">
        <button type="button" onClick={props.take}>
          {words.take}
        </button>
        <button type="button" class="primary" onClick={props.keep}>
          {words.keep}
        </button>
      </div>
    </section>
  );
}
