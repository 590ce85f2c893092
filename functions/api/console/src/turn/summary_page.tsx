export function SummaryPage({ sessionId }: { sessionId: string }) {
  return <div class="page">{sessionId}</div>;
}
