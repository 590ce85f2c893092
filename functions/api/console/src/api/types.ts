/** Names for the bodies of the OpenAPI document. */
import type { components } from "./schema.d.ts";

type Schemas = components["schemas"];

export type Agent = Schemas["AgentView"];
export type AgentVersion = Schemas["AgentVersionView"];
export type ApiKey = Schemas["ApiKeyView"];
export type Archived = Schemas["ArchivedView"];
export type Audit = Schemas["AuditView"];
export type Budget = Schemas["BudgetView"];
export type Cap = Schemas["CapView"];
export type Council = Schemas["CouncilView"];
export type Health = Schemas["HealthView"];
export type LedgerRow = Schemas["LedgerRowView"];
export type Me = Schemas["MeView"];
export type Mode = NonNullable<Schemas["NewSession"]["mode"]>;
export type Model = Schemas["ModelView"];
export type Month = Schemas["MonthView"];
export type OperatorTotal = Schemas["OperatorTotalView"];
export type Plan = Schemas["PlanView"];
export type Reply = Schemas["ReplyView"];
export type Session = Schemas["SessionView"];
export type Summary = Schemas["SummaryView"];
export type SuspendedCall = Schemas["SuspendedCallView"];
export type Total = Schemas["TenantTotalView"];
export type Turn = Schemas["TurnView"];
export type WaitingTurn = Schemas["WaitingTurnView"];

/** A page of a list. */
export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}
