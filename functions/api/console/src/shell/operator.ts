/** Whether the caller operates the deployment. The role's name is a setting, so the API is asked. */
import { effect, signal, untracked } from "@preact/signals";
import { api } from "../api/client.ts";
import { me } from "../signing_in/session.ts";

export const isOperator = signal(false);

effect(() => {
  const roles = me.value?.roles ?? [];
  isOperator.value = false;
  // A request reads the token. Without `untracked`, signing out would ask again.
  // Members and admins of a tenant need no request to know that they are not.
  if (roles.some((role) => role !== "member" && role !== "admin")) void untracked(find);
});

async function find(): Promise<void> {
  const asked = me.value;
  const answer = await api.GET("/api/v1/admin/platform/budget").catch(() => null);
  // The answer is not about another person who has signed in meanwhile.
  if (answer && me.value === asked) isOperator.value = answer.response.ok;
}
