import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { parts } from "../strings.ts";
import { Icon } from "./icons.tsx";

/** A modal dialog. The browser keeps the focus inside and gives it back. */
export function Dialog(props: { title: string; close: () => void; children: ComponentChildren }) {
  const place = useRef<HTMLDialogElement>(null);
  const title = useId();
  useEffect(() => {
    place.current?.showModal();
  }, []);
  return (
    <dialog ref={place} aria-labelledby={title} onClose={props.close}>
      <header class="row spread">
        <h2 id={title}>{props.title}</h2>
        <button type="button" class="plain" aria-label={parts.close} onClick={() => place.current?.close()}>
          <Icon name="close" />
        </button>
      </header>
      {props.children}
    </dialog>
  );
}
