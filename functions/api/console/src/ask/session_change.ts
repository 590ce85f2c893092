/** Change a session. */
import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import type { components } from "../api/schema.d.ts";
import { sessionsChanged } from "../shell/sessions.ts";

type Change = Partial<components["schemas"]["SessionChange"]>;

export interface Changing {
  busy: boolean;
  problem: Problem | null;
  /** True if the session is changed. */
  change: (fields: Change) => Promise<boolean>;
}

export function useSessionChange(sessionId: string, changed: () => void): Changing {
  const [state, setState] = useState<{ busy: boolean; problem: Problem | null }>({
    busy: false,
    problem: null,
  });
  const change = async (fields: Change) => {
    setState({ busy: true, problem: null });
    try {
      await ok(
        api.PATCH("/api/v1/sessions/{session_id}", {
          params: { path: { session_id: sessionId } },
          body: fields,
        }),
      );
    } catch (error) {
      setState({ busy: false, problem: problemFrom(error) });
      return false;
    }
    sessionsChanged();
    changed();
    return true;
  };
  return { ...state, change };
}
