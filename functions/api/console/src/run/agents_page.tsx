export function AgentsPage({ agentKey }: { agentKey: string | null }) {
  return <div class="page">{agentKey}</div>;
}
