export function ModelsPage() {
  return <div class="page">{""}</div>;
}
