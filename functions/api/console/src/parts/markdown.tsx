/**
 * Show Markdown. The library splits the text into tokens, and this file makes elements of them, so no HTML of a model is
 * ever parsed: it stays text. Images are not loaded, because their address could carry what was said to another host.
 */
import type { Token, Tokens } from "marked";
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { parts } from "../strings.ts";
import { CopyButton } from "./copy_button.tsx";
import { isSafe, plainText, tokensOf } from "./markdown_tokens.ts";

export function Markdown({ text }: { text: string }) {
  const tokens = useMemo(() => tokensOf(text), [text]);
  return <div class="markdown">{blocks(tokens)}</div>;
}

function blocks(tokens: readonly Token[]): ComponentChildren {
  return tokens.map((token, index) => <Block key={index} token={token} />);
}

function Block({ token }: { token: Token }) {
  switch (token.type) {
    case "space":
    case "def":
    // The item of a list shows its own box.
    case "checkbox":
      return null;
    case "heading": {
      // The page has its own first headings.
      const Heading = `h${Math.min(6, (token as Tokens.Heading).depth + 2)}` as "h3";
      return <Heading>{inline(token.tokens)}</Heading>;
    }
    case "code":
      return <CodeBlock token={token as Tokens.Code} />;
    case "blockquote":
      return <blockquote>{blocks(token.tokens ?? [])}</blockquote>;
    case "list":
      return <ListBlock token={token as Tokens.List} />;
    case "table":
      return <TableBlock token={token as Tokens.Table} />;
    case "hr":
      return <hr />;
    case "paragraph":
      return <p>{inline(token.tokens)}</p>;
    case "text":
      return <>{token.tokens ? inline(token.tokens) : (token as Tokens.Text).text}</>;
    default:
      return <p>{token.raw}</p>;
  }
}

function CodeBlock({ token }: { token: Tokens.Code }) {
  return (
    <figure class="code">
      <figcaption class="row spread">
        <span>{token.lang ?? ""}</span>
        <CopyButton text={token.text} />
      </figcaption>
      {/* A scrolling region has to be reachable by keyboard. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls. */}
      <pre tabIndex={0}>
        <code>{token.text}</code>
      </pre>
    </figure>
  );
}

function ListBlock({ token }: { token: Tokens.List }) {
  const items = token.items.map((item, index) => (
    <li key={index}>
      {item.task && <input type="checkbox" checked={item.checked ?? false} disabled aria-label={item.text} />}
      {blocks(item.tokens)}
    </li>
  ));
  return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function TableBlock({ token }: { token: Tokens.Table }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll" tabIndex={0} aria-label={parts.table}>
      <table>
        <thead>
          <tr>
            {token.header.map((cell, index) => (
              <th key={index} scope="col">
                {inline(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, number) => (
            <tr key={number}>
              {row.map((cell, index) => (
                <td key={index}>{inline(cell.tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function inline(tokens: readonly Token[] | undefined): ComponentChildren {
  return (tokens ?? []).map((token, index) => <Inline key={index} token={token} />);
}

function Inline({ token }: { token: Token }) {
  switch (token.type) {
    case "strong":
      return <strong>{inline(token.tokens)}</strong>;
    case "em":
      return <em>{inline(token.tokens)}</em>;
    case "del":
      return <del>{inline(token.tokens)}</del>;
    case "codespan":
      return <code>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "link": {
      const { href, tokens, raw } = token as Tokens.Link;
      if (!isSafe(href)) return <>{raw}</>;
      return (
        <a href={href} target="_blank" rel="noopener noreferrer nofollow">
          {inline(tokens)}
        </a>
      );
    }
    case "image":
      return (
        <span class="muted">{parts.image((token as Tokens.Image).text || (token as Tokens.Image).href)}</span>
      );
    case "text":
      return <>{token.tokens ? inline(token.tokens) : plainText((token as Tokens.Text).text)}</>;
    case "escape":
      return <>{(token as Tokens.Escape).text}</>;
    default:
      // HTML, and whatever a later version of the library adds: as it was written.
      return <>{token.raw}</>;
  }
}
