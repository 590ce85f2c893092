import { useRef, useState } from "preact/hooks";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { parts } from "../strings.ts";
import { Dialog } from "./dialog.tsx";
import { ErrorNote } from "./error_note.tsx";

/** Ask before something is done. The dialog stays open, with the reason, if it could not be done. */
export function Confirm(props: {
  title: string;
  text: string;
  action: string;
  isDangerous?: boolean;
  act: () => Promise<void>;
  close: () => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  // The browser gives the focus back only to a dialog that is closed before it is taken away.
  const close = () => place.current?.closest("dialog")?.close();
  const act = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await props.act();
      close();
    } catch (error) {
      setProblem(problemFrom(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={props.title} close={props.close}>
      <div class="stack" ref={place}>
        <p>{props.text}</p>
        {problem && <ErrorNote problem={problem} />}
        <div class="row end">
          <button type="button" onClick={close}>
            {parts.cancel}
          </button>
          <button
            type="button"
            class={props.isDangerous ? "danger" : "primary"}
            disabled={busy}
            onClick={act}
          >
            {props.action}
          </button>
        </div>
      </div>
    </Dialog>
  );
}
