/** Read the answer of `/health`, also one that says that something fails. */
import { isRecord } from "../api/problem.ts";
import type { Health } from "../api/types.ts";
import { run } from "../strings.ts";

export interface Check {
  name: string;
  isWorking: boolean;
  /** Details of the check, if it has more to say than that it works. */
  detail: string | null;
}

const FAILING = "failing: ";

export function checksOf(health: Health): Check[] {
  return Object.entries(health.checks).map(([name, value]) => ({
    name: run.health.names[name] ?? name,
    isWorking: !value.startsWith("failing"),
    detail: detailOf(name, value),
  }));
}

/** The health in the body of an answer, or null if it is something else. */
export function healthIn(body: unknown): Health | null {
  return isRecord(body) && isRecord(body.checks) && typeof body.version === "string"
    ? (body as Health)
    : null;
}

/** The commit that a deployment was built from, if it says so. */
export function commitOf(health: object): string | null {
  const commit = "commit" in health ? health.commit : null;
  return typeof commit === "string" && commit ? commit : null;
}

function detailOf(name: string, value: string): string | null {
  if (value === "ok") return null;
  if (value.startsWith(FAILING)) return value.slice(FAILING.length);
  if (name === "migration") return run.health.revision(value);
  if (name === "checkpointer" && value === "memory") return run.health.checkpointerMemory;
  return value;
}
