import { href } from "../router.ts";
import { me } from "../signing_in/session.ts";

/** The way to a turn. An operator cannot open turns of other tenants, so their ids are no links. */
export function TurnLink({ id, tenantId }: { id: string; tenantId: string }) {
  const text = <code class="small">{id}</code>;
  return me.value?.tenant_id === tenantId ? <a href={href(`turns/${id}`)}>{text}</a> : text;
}

export function TenantLink({ id }: { id: string }) {
  return <a href={href("operations/tenants", { tenant: id })}>{id}</a>;
}
