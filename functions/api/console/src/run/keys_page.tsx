export function KeysPage() {
  return <div class="page">{""}</div>;
}
