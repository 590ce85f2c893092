import { useState } from "preact/hooks";
import { parts } from "../strings.ts";
import { Icon } from "./icons.tsx";

/** Copy a text to the clipboard, and say so. */
export function CopyButton({ text, label = parts.copy }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2_000);
  };
  return (
    <button type="button" class="plain small" onClick={copy}>
      <Icon name={done ? "check" : "copy"} />
      <span aria-live="polite">{done ? parts.copied : label}</span>
    </button>
  );
}
