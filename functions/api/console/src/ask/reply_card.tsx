import { useId } from "preact/hooks";
import { CopyButton } from "../parts/copy_button.tsx";
import { Initials } from "../parts/initials.tsx";
import { usd } from "../parts/money.ts";
import { href } from "../router.ts";
import { ask } from "../strings.ts";
import { Growing } from "./growing.tsx";
import type { ShownReply } from "./live_turn.ts";
import { codeWords, stateOf } from "./wording.ts";

const TONES = { waiting: "", writing: "", completed: "good", failed: "bad", skipped: "warn" };

interface CardProps {
  turnId: string | undefined;
  reply: ShownReply;
  name: string;
  label?: string;
}

/** An agent's answer, from its place in the plan to its last word. */
export function ReplyCard({ turnId, reply, name, label }: CardProps) {
  const title = useId();
  const state = stateOf(reply);
  return (
    <article class={`reply ${state}`} aria-labelledby={title}>
      <header class="row">
        <Initials agentKey={reply.agentKey} name={name} />
        <h3 id={title}>{name}</h3>
        {label && <span class="tag">{label}</span>}
        {reply.modelAlias && <span class="small muted">{reply.modelAlias}</span>}
        <span class={`tag state ${TONES[state] ?? ""}`}>
          {state === "writing" && <span class="dot pulse" />}
          {ask.states[state] ?? state}
        </span>
        {state === "writing" && reply.attempt > 1 && (
          <span class="small muted">{ask.attempt(reply.attempt)}</span>
        )}
        {turnId && reply.reply && isCostly(reply.reply.cost_usd) && (
          <a
            class="small cost"
            href={href(`turns/${turnId}`)}
            aria-label={ask.replyCosts(name, usd(reply.reply.cost_usd))}
          >
            {usd(reply.reply.cost_usd)}
          </a>
        )}
        {state === "completed" && reply.text && <CopyButton text={reply.text} />}
      </header>
      <Body reply={reply} />
    </article>
  );
}

function isCostly(amount: string): boolean {
  return /[1-9]/.test(amount);
}

function Body({ reply }: { reply: ShownReply }) {
  const stored = reply.reply;
  // A state of a later release may have a text, too.
  if (stored && stored.status !== "completed" && !(stored.text && !stored.error)) {
    const words = codeWords(stored.error?.code ?? "", stored.error?.detail);
    return <p class={stored.status === "failed" ? "wrong" : "muted"}>{words}</p>;
  }
  if (reply.state === "waiting") return null;
  if (!reply.text) return <p class="muted small">{ask.working}</p>;
  const cut = ask.cutShort[stored?.stop_reason ?? ""];
  return (
    <>
      <Growing text={reply.text} grows={reply.state === "writing"} />
      {cut && <p class="small warning">{cut}</p>}
    </>
  );
}
