/** The state of a form that changes an agent or a council: what is typed, what is wrong with it, and who was faster. */
import { useRef, useState } from "preact/hooks";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { tell, tellNothing } from "../parts/notice.tsx";
import { go, href } from "../router.ts";
import { run } from "../strings.ts";
import { type Faults, faultsOf, isEmpty } from "./faults.ts";

interface Versioned {
  key: string;
  name: string;
  version: number;
}

/** How things of a kind are read and written. `room` is where their pages are. */
export interface Kind<Item extends Versioned, Draft extends { key: string }> {
  room: string;
  read: (key: string) => Promise<Item>;
  create: (draft: Draft) => Promise<Item>;
  /** Replace the given version. The API refuses it with 412 if another one is there. */
  replace: (draft: Draft, version: number) => Promise<Item>;
  draftOf: (item: Item) => Draft;
  faultsIn: (draft: Draft, isNew: boolean) => Faults;
}

export interface Editor<Item, Draft> {
  /** The version that the form began with, null for a new thing. */
  base: Item | null;
  draft: Draft;
  /** A newer version of another user. */
  theirs: Item | null;
  faults: Faults;
  problem: Problem | null;
  busy: boolean;
  isDirty: boolean;
  change: (fields: Partial<Draft>) => void;
  save: () => Promise<void>;
  take: () => void;
  keep: () => void;
  /** Show a version that was saved elsewhere on the page. */
  begin: (item: Item) => void;
}

export function useEditor<Item extends Versioned, Draft extends { key: string }>(
  kind: Kind<Item, Draft>,
  item: Item | null,
  blank: Draft,
): Editor<Item, Draft> {
  const [base, setBase] = useState(item);
  const [draft, setDraft] = useState(item ? kind.draftOf(item) : blank);
  const [theirs, setTheirs] = useState<Item | null>(null);
  const [faults, setFaults] = useState<Faults>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const untouched = useRef(JSON.stringify(draft));

  const begin = (saved: Item) => {
    const fresh = kind.draftOf(saved);
    untouched.current = JSON.stringify(fresh);
    setBase(saved);
    setDraft(fresh);
    setTheirs(null);
    setFaults({});
    setProblem(null);
  };
  const refuse = async (error: unknown) => {
    const refused = problemFrom(error);
    const named = faultsOf(refused);
    if (refused.code.endsWith("_exists")) setFaults({ key: run.keyTaken(draft.key) });
    else if (refused.code === "version_mismatch" && base) setTheirs(await kind.read(base.key));
    else if (isEmpty(named)) setProblem(refused);
    else setFaults(named);
  };
  const save = async () => {
    const wrong = kind.faultsIn(draft, base === null);
    tellNothing();
    setProblem(null);
    setFaults(wrong);
    if (!isEmpty(wrong)) return;
    setBusy(true);
    try {
      const saved = base ? await kind.replace(draft, base.version) : await kind.create(draft);
      begin(saved);
      announce(kind.room, saved, base);
    } catch (error) {
      await refuse(error).catch((second: unknown) => setProblem(problemFrom(second)));
    } finally {
      setBusy(false);
    }
  };
  return {
    base,
    draft,
    theirs,
    faults,
    problem,
    busy,
    isDirty: JSON.stringify(draft) !== untouched.current,
    change: (fields) => setDraft((now) => ({ ...now, ...fields })),
    save,
    take: () => {
      if (!theirs) return;
      begin(theirs);
      tell(run.conflict.taken(theirs.version));
    },
    keep: () => {
      if (!theirs) return;
      setBase(theirs);
      untouched.current = JSON.stringify(kind.draftOf(theirs));
      setTheirs(null);
      tell(run.conflict.kept(theirs.version));
    },
    begin,
  };
}

function announce(room: string, saved: Versioned, before: Versioned | null): void {
  const address = `${room}/${saved.key}`;
  if (!before) {
    tell(run.created(saved.name, saved.version), address);
    go(href(address));
  } else if (before.version === saved.version) tell(run.same(saved.name, saved.version), address);
  else tell(run.saved(saved.name, saved.version), address);
}
