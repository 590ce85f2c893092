/** Read Markdown into tokens, and decide which of them may become more than text. */
import { Lexer, type Token, Tokenizer, type Tokens } from "marked";

/** Deeper quotations and lists stay text, because each level is drawn inside the one before it. */
const DEEPEST = 24;
/**
 * The library's time grows with the squares of two counts: the marks in a paragraph, and the letters in a run without a
 * space, or of spaces alone. 3,000 of them take 0.03 s. A text that takes longer than 0.5 s stops the page.
 */
const MOST_EFFORT = 3_000 ** 2;
const MOST_EFFORT_OF_ALL = 12 * MOST_EFFORT;
/** A row of a table may be one letter, and is filled up to the width of the header. */
const MOST_CELLS = 20_000;
const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** Return the tokens of a text. A part that is invalid or takes too long to parse becomes plain text. */
export function tokensOf(text: string): Token[] {
  if (isDeep(text)) return [asText(text)];
  try {
    const lexer = new Lexer({ gfm: true, breaks: true, tokenizer: new FewCells() });
    lexer.blockTokens(text.replace(/\r\n?/g, "\n"), lexer.tokens);
    let effort = 0;
    for (const { src, tokens } of lexer.inlineQueue) {
      const own = effortOf(src);
      if (own > MOST_EFFORT || effort + own > MOST_EFFORT_OF_ALL) tokens.push(asText(src));
      else {
        effort += own;
        lexer.inlineTokens(src, tokens);
      }
    }
    return lexer.tokens.map((token) => (depthOf(token) > DEEPEST ? asText(token.raw) : token));
  } catch {
    return [asText(text)];
  }
}

/** Refuses a text whose tables have too many cells together. */
class FewCells extends Tokenizer {
  #cells = 0;

  override table(src: string): Tokens.Table | undefined {
    const found = this.rules.block.table.exec(src);
    const columns = found?.[2]?.match(/-+/g)?.length ?? 0;
    this.#cells += columns * (found?.[3]?.split("\n").length ?? 0);
    if (this.#cells > MOST_CELLS) throw new RangeError("The tables have too many cells.");
    return super.table(src);
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

function effortOf(paragraph: string): number {
  const marks = paragraph.match(/[*_~`[\]!]/g)?.length ?? 0;
  const runs = paragraph.match(/\S+|[^\S\n]+/g) ?? [];
  return Math.max(marks, longest(runs)) ** 2;
}

function longest(runs: readonly string[]): number {
  return runs.reduce((most, run) => Math.max(most, run.length), 0);
}

/** Whether a line begins more quotations and lists than are drawn. The library reads the line once for each. */
function isDeep(text: string): boolean {
  return BEGINNINGS.test(text);
}

const BEGINNINGS = new RegExp(`^(?:[ \\t]*(?:>|[*+-][ \\t]|\\d{1,9}[.)][ \\t])){${DEEPEST + 1}}`, "m");

function asText(raw: string): Token {
  return { type: "text", raw, text: raw };
}

function depthOf(token: Token, depth = 0): number {
  if (depth > DEEPEST) return depth;
  const { tokens = [], items = [] } = token as { tokens?: Token[]; items?: Token[] };
  const inside = [...tokens, ...items];
  return inside.reduce((deepest, each) => Math.max(deepest, depthOf(each, depth + 1)), depth);
}
