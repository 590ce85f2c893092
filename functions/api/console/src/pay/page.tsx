export function UsagePage() {
  return <div class="page">{""}</div>;
}
