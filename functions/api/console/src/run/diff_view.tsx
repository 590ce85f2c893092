import { run } from "../strings.ts";
import "./diff.css";
import { isSame, type Line, lineDiff } from "./line_diff.ts";

/** The changes from one text to another, with a sign before each line and the changed words marked. */
export function DiffView(props: { before: string; after: string; label: string }) {
  const lines = lineDiff(props.before, props.after);
  if (isSame(lines)) return <p class="muted">{run.diff.same}</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="diff" tabIndex={0} aria-label={props.label}>
      {lines.map((line, index) => (
        <DiffLine key={index} line={line} />
      ))}
    </section>
  );
}

const SIGNS = { same: " ", added: "+", removed: "−" };

function DiffLine({ line }: { line: Line }) {
  if (line.kind === "skipped") return <p class="skipped">… {run.diff.skipped(line.count)}</p>;
  const word = line.kind === "same" ? null : line.kind === "added" ? run.diff.added : run.diff.removed;
  return (
    <p class={line.kind}>
      <span class="sign" aria-hidden="true">
        {SIGNS[line.kind]}
      </span>
      {word && <span class="hidden">{word}: </span>}
      <span>
        {line.pieces.map((piece, index) =>
          piece.isChanged ? <mark key={index}>{piece.text}</mark> : <span key={index}>{piece.text}</span>,
        )}
      </span>
    </p>
  );
}
