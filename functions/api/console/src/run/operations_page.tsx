export function OperationsPage({ section }: { section: string | null }) {
  return <div class="page">{section}</div>;
}
