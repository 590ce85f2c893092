export function HealthPage() {
  return <div class="page">{""}</div>;
}
