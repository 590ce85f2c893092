import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Agent } from "../api/types.ts";
import { Icon } from "../parts/icons.tsx";
import { ask } from "../strings.ts";
import { draftOf, draftsVersion, keepDraft } from "./kept.ts";
import { MentionList } from "./mention_list.tsx";
import { useMention } from "./mentioning.ts";

const MOST = 32_000;
const NEAR = 30_000;

export interface ComposerProps {
  /** Where the draft is kept: a session's id, or `new`. */
  room: string;
  agents: readonly Agent[];
  /** Why nothing can be sent now. */
  blocked: string | null;
  send: (message: string) => void;
}

/** The message box and its button. */
export function Composer({ room, agents, blocked, send }: ComposerProps) {
  const box = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(() => draftOf(room));
  const [field, hint] = [useId(), useId()];
  const write = (next: string) => {
    setText(next);
    keepDraft(room, next);
  };
  const mention = useMention(box, text, agents, write);
  const version = draftsVersion.value;
  useEffect(() => setText(draftOf(room)), [version, room]);
  useEffect(() => box.current?.focus({ preventScroll: true }), []);
  useLayoutEffect(() => grow(box.current), [text]);
  const count = text.length < NEAR ? text.length : [...text].length;
  const submit = () => {
    box.current?.focus();
    if (blocked || !text.trim() || count > MOST) return;
    send(text);
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <label class="hidden" for={field}>
        {ask.message}
      </label>
      <MentionList mention={mention} />
      <textarea
        id={field}
        ref={box}
        rows={2}
        value={text}
        placeholder={ask.placeholder}
        aria-describedby={hint}
        aria-invalid={count > MOST}
        {...mention.box}
        onInput={(event) => {
          write(event.currentTarget.value);
          mention.moved();
        }}
        onKeyUp={mention.moved}
        onClick={mention.moved}
        onBlur={mention.close}
        onKeyDown={(event) => {
          // Enter that ends a composition of letters belongs to the composition.
          if (event.isComposing || event.keyCode === 229 || mention.takes(event)) return;
          if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey)
            return;
          event.preventDefault();
          submit();
        }}
      />
      <div class="row spread">
        <p id={hint} class={`small muted ${blocked ? "" : "hint"}`}>
          {blocked ?? ask.hint}
        </p>
        {count > NEAR && (
          <p class={`small ${count > MOST ? "warning" : "muted"}`} aria-live="polite">
            {ask.characters(count, MOST)}
            {count > MOST && ` ${ask.tooLong}`}
          </p>
        )}
        <button type="submit" class="primary" aria-disabled={blocked !== null || count > MOST}>
          <Icon name="send" />
          {ask.send}
        </button>
      </div>
    </form>
  );
}

/** Make the box as high as its text, up to the height that the style allows. */
function grow(box: HTMLTextAreaElement | null): void {
  if (!box) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}
