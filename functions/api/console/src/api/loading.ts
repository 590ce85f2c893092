/** Load data for a page, with its states and its next pages. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { offline, Problem } from "./problem.ts";
import type { Page } from "./types.ts";

export interface Loaded<Data> {
  /** The data of the last load that succeeded. */
  data: Data | null;
  problem: Problem | null;
  busy: boolean;
  reload: () => Promise<void>;
}

/** Load when the page appears and when one of `inputs` changes. Drop late answers. */
export function useLoaded<Data>(load: () => Promise<Data>, inputs: readonly unknown[]): Loaded<Data> {
  const [state, setState] = useState<Omit<Loaded<Data>, "reload">>({ data: null, problem: null, busy: true });
  const round = useRef(0);
  const reload = useCallback(async () => {
    round.current += 1;
    const own = round.current;
    setState((now) => ({ ...now, busy: true, problem: null }));
    try {
      const data = await load();
      if (own === round.current) setState({ data, problem: null, busy: false });
    } catch (error) {
      if (own === round.current) setState((now) => ({ ...now, problem: problemFrom(error), busy: false }));
    }
  }, inputs);
  useEffect(() => {
    void reload();
    return () => {
      round.current += 1;
    };
  }, [reload]);
  return { ...state, reload };
}

export interface Paged<Item> {
  items: Item[];
  problem: Problem | null;
  busy: boolean;
  hasMore: boolean;
  more: () => Promise<void>;
  reload: () => Promise<void>;
}

/** Load a list page by page. */
export function usePages<Item>(
  load: (cursor: string | null) => Promise<Page<Item>>,
  inputs: readonly unknown[],
): Paged<Item> {
  const first = useLoaded(() => load(null), inputs);
  const [later, setLater] = useState<{ of: Page<Item>; items: Item[]; cursor: string | null } | null>(null);
  const [state, setState] = useState<{ busy: boolean; problem: Problem | null }>({
    busy: false,
    problem: null,
  });
  const mine = later && later.of === first.data ? later : null;
  const cursor = mine ? mine.cursor : (first.data?.next_cursor ?? null);
  const more = async () => {
    if (!first.data || cursor === null || state.busy) return;
    setState({ busy: true, problem: null });
    try {
      const page = await load(cursor);
      setLater({ of: first.data, items: [...(mine?.items ?? []), ...page.items], cursor: page.next_cursor });
      setState({ busy: false, problem: null });
    } catch (error) {
      setState({ busy: false, problem: problemFrom(error) });
    }
  };
  return {
    items: [...(first.data?.items ?? []), ...(mine?.items ?? [])],
    problem: first.problem ?? state.problem,
    busy: first.busy || state.busy,
    hasMore: cursor !== null,
    more,
    reload: first.reload,
  };
}

export function problemFrom(error: unknown): Problem {
  return error instanceof Problem ? error : offline(error);
}
