export function LedgerPage() {
  return <div class="page">{""}</div>;
}
