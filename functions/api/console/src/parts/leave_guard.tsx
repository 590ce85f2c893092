import { useEffect, useRef, useState } from "preact/hooks";
import { run } from "../strings.ts";
import { Confirm } from "./confirm.tsx";

/** Ask before the reader leaves a page with changes that are not saved. */
export function LeaveGuard({ isDirty }: { isDirty: boolean }) {
  const dirty = useRef(isDirty);
  dirty.current = isDirty;
  const agreed = useRef(false);
  const [target, setTarget] = useState<string | null>(null);
  useEffect(() => {
    const hold = (event: HashChangeEvent) => {
      const [here, there] = [new URL(event.oldURL).hash, location.hash];
      if (agreed.current || !dirty.current || there === here) return;
      // The router does not learn of the new address before the reader has agreed to it.
      event.stopImmediatePropagation();
      history.replaceState(null, "", here);
      setTarget(there);
    };
    const warn = (event: BeforeUnloadEvent) => dirty.current && !agreed.current && event.preventDefault();
    addEventListener("hashchange", hold, { capture: true });
    addEventListener("beforeunload", warn);
    return () => {
      removeEventListener("hashchange", hold, { capture: true });
      removeEventListener("beforeunload", warn);
    };
  }, []);
  if (target === null) return null;
  const leave = async () => {
    agreed.current = true;
    location.hash = target;
  };
  return (
    <Confirm
      title={run.leaveTitle}
      text={run.leaveText}
      action={run.leave}
      act={leave}
      close={() => setTarget(null)}
    />
  );
}
