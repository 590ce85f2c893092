export function AskPage({ sessionId }: { sessionId: string | null }) {
  return <div class="page">{sessionId}</div>;
}
