/** Amounts of money that an operator types, and prices that are shown with every digit. */
import { exactUsd } from "../parts/money.ts";
import { run } from "../strings.ts";
import type { Faults } from "./faults.ts";

const AMOUNT = /^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$/;

export function isAmount(text: string): boolean {
  return AMOUNT.test(text.trim());
}

/** `$0.125`: a price is never rounded, and has two decimals at least. */
export function price(amount: string): string {
  const [whole = "0", fraction = ""] = amount.split(".", 2);
  return exactUsd(`${whole}.${fraction.replace(/0+$/, "").padEnd(2, "0")}`);
}

export interface CapDraft {
  cap: "own" | "default";
  capUsd: string;
  allowance: "keep" | "own" | "default";
  allowanceUsd: string;
}

export function capFaults(draft: CapDraft): Faults {
  const faults: Record<string, string> = {};
  if (draft.cap === "own" && !isAmount(draft.capUsd)) faults.limit_usd = run.operations.amountFault;
  if (draft.allowance === "own" && !isAmount(draft.allowanceUsd)) {
    faults.allowance_usd = run.operations.amountFault;
  }
  return faults;
}

/** The body that sets a cap. Without `allowance_usd` the allowance stays as it is. */
export function capBody(draft: CapDraft): { limit_usd: string | null; allowance_usd?: string | null } {
  const body = { limit_usd: draft.cap === "own" ? draft.capUsd.trim() : null };
  if (draft.allowance === "keep") return body;
  return { ...body, allowance_usd: draft.allowance === "own" ? draft.allowanceUsd.trim() : null };
}
