import { useEffect, useRef, useState } from "preact/hooks";
import { guardLeaving } from "../router.ts";
import { run } from "../strings.ts";
import { Confirm } from "./confirm.tsx";

/** Ask before the reader leaves a page with changes that are not saved. */
export function LeaveGuard({ isDirty }: { isDirty: boolean }) {
  const dirty = useRef(isDirty);
  dirty.current = isDirty;
  const agreed = useRef(false);
  const [target, setTarget] = useState<string | null>(null);
  useEffect(() => {
    const isHeld = () => dirty.current && !agreed.current;
    const warn = (event: BeforeUnloadEvent) => isHeld() && event.preventDefault();
    const release = guardLeaving((address) => {
      if (isHeld()) setTarget(address);
      return isHeld();
    });
    addEventListener("beforeunload", warn);
    return () => {
      release();
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
