export function TurnPage({ turnId }: { turnId: string }) {
  return <div class="page">{turnId}</div>;
}
