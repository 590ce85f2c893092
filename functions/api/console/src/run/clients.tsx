import { base } from "../base.ts";
import { CopyButton } from "../parts/copy_button.tsx";
import { href } from "../router.ts";
import { run } from "../strings.ts";

const CURL = `curl ${base}/v1/models -H "Authorization: Bearer $PANTHEON_TOKEN"`;

/** The addresses that chat programs and other clients need. */
export function Clients() {
  const words = run.health;
  return (
    <section class="card stack">
      <h2>{words.clients}</h2>
      <p>
        {words.clientsText} <a href={href("api-keys")}>{words.makeKey}</a>
      </p>
      <Address name={words.openai} text={`${base}/v1`} />
      <Address name={words.mcp} text={`${base}/mcp`} />
      <div class="address">
        <h3>{words.curl}</h3>
        <CopyButton text={CURL} />
      </div>
      <p class="muted small">{words.curlHint}</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: It may scroll. */}
      <pre tabIndex={0}>
        <code>{CURL}</code>
      </pre>
    </section>
  );
}

function Address({ name, text }: { name: string; text: string }) {
  return (
    <div>
      <h3>{name}</h3>
      <div class="address">
        <code>{text}</code>
        <CopyButton text={text} />
      </div>
    </div>
  );
}
