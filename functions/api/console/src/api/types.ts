/** Names for the bodies of the OpenAPI document. */
import type { components } from "./schema.d.ts";

type Schemas = components["schemas"];

export type Agent = Schemas["AgentView"];
export type Archived = Schemas["ArchivedView"];
export type Audit = Schemas["AuditView"];
export type Budget = Schemas["BudgetView"];
export type Council = Schemas["CouncilView"];
export type LedgerRow = Schemas["LedgerRowView"];
export type Me = Schemas["MeView"];
export type Mode = NonNullable<Schemas["NewSession"]["mode"]>;
export type Model = Schemas["ModelView"];
export type Plan = Schemas["PlanView"];
export type Reply = Schemas["ReplyView"];
export type Session = Schemas["SessionView"];
export type Summary = Schemas["SummaryView"];
export type Total = Schemas["TenantTotalView"];
export type Turn = Schemas["TurnView"];

/** A page of a list. */
export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}
