/** Compare two texts line by line, and changed lines word by word. */
import { diffLines, diffWordsWithSpace } from "diff";

export interface Piece {
  text: string;
  /** The words that make the difference. */
  isChanged: boolean;
}

export type Line =
  | { kind: "same" | "added" | "removed"; pieces: readonly Piece[] }
  /** Lines without a change that are far from one. */
  | { kind: "skipped"; count: number };

const CONTEXT = 3;

export function lineDiff(before: string, after: string): Line[] {
  const changes = diffLines(`${before}\n`, `${after}\n`);
  const lines: Line[] = [];
  for (let index = 0; index < changes.length; index += 1) {
    const [change, next] = [changes[index], changes[index + 1]];
    if (!change) continue;
    const texts = linesOf(change.value);
    if (change.removed && next?.added) {
      lines.push(...replaced(texts, linesOf(next.value)));
      index += 1;
    } else {
      const kind = change.added ? "added" : change.removed ? "removed" : "same";
      lines.push(...texts.map((text) => ({ kind, pieces: [{ text, isChanged: false }] }) as const));
    }
  }
  return shortened(lines);
}

export function isSame(lines: readonly Line[]): boolean {
  return lines.every((line) => line.kind === "same" || line.kind === "skipped");
}

/** Lines that took the place of others. As many of them as before are compared in pairs. */
function replaced(before: readonly string[], after: readonly string[]): Line[] {
  const pairs = before.length === after.length;
  const removed = before.map((text, index) => pieces("removed", text, pairs ? after[index] : undefined));
  const added = after.map((text, index) => pieces("added", text, pairs ? before[index] : undefined));
  return [...removed, ...added];
}

function pieces(kind: "added" | "removed", text: string, other: string | undefined): Line {
  if (other === undefined) return { kind, pieces: [{ text, isChanged: false }] };
  const [from, to] = kind === "removed" ? [text, other] : [other, text];
  const own = diffWordsWithSpace(from, to).filter((part) =>
    kind === "removed" ? !part.added : !part.removed,
  );
  return { kind, pieces: own.map((part) => ({ text: part.value, isChanged: part.added || part.removed })) };
}

/** Leave out what is more than a few lines away from every change. */
function shortened(lines: readonly Line[]): Line[] {
  const near = lines.map((_, place) =>
    lines.slice(Math.max(0, place - CONTEXT), place + CONTEXT + 1).some((line) => line.kind !== "same"),
  );
  const shown: Line[] = [];
  lines.forEach((line, place) => {
    const last = shown.at(-1);
    if (near[place]) shown.push(line);
    else if (last?.kind === "skipped") last.count += 1;
    else shown.push({ kind: "skipped", count: 1 });
  });
  return shown;
}

function linesOf(value: string): string[] {
  return value.replace(/\n$/, "").split("\n");
}
