/** Read Markdown into tokens, and decide which of them may become more than text. */
import { lexer, type Token } from "marked";

/** Deeper quotations and lists stay text, because each level is drawn inside the one before it. */
const DEEPEST = 24;
/** The library's time grows with the square of the marks in a paragraph: 3,000 take 0.1 s, 20,000 take 4 s. */
const MOST_MARKS = 3_000;
const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** The tokens of a text. A text that cannot be read is one token, which shows it as it is. */
export function tokensOf(text: string): Token[] {
  if (isDense(text)) return [asText(text)];
  try {
    return lexer(text, { gfm: true, breaks: true }).map((token) =>
      depthOf(token) > DEEPEST ? asText(token.raw) : token,
    );
  } catch {
    return [asText(text)];
  }
}

/** Only addresses of these kinds become links. */
export function isSafe(address: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(address);
}

/** A text with the usual names of characters replaced. The result is shown as text, and never read as HTML. */
export function plainText(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|apos|nbsp);/g, (_, name: string) => NAMED[name] ?? "");
}

/** Whether a paragraph outside of code blocks has too many marks to be read. */
function isDense(text: string): boolean {
  const paragraphs = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "").split(/\n\s*\n/);
  return paragraphs.some((paragraph) => (paragraph.match(/[*_~`[\]]/g)?.length ?? 0) > MOST_MARKS);
}

function asText(raw: string): Token {
  return { type: "text", raw, text: raw };
}

function depthOf(token: Token, depth = 0): number {
  if (depth > DEEPEST) return depth;
  const { tokens = [], items = [] } = token as { tokens?: Token[]; items?: Token[] };
  const inside = [...tokens, ...items];
  return inside.reduce((deepest, each) => Math.max(deepest, depthOf(each, depth + 1)), depth);
}
