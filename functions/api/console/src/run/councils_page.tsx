export function CouncilsPage({ councilKey }: { councilKey: string | null }) {
  return <div class="page">{councilKey}</div>;
}
