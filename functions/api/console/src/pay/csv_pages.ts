/** The address of the next page in a `Link` header. */
export function nextOf(link: string | null): string | null {
  return /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1] ?? null;
}

/** A page without its first line. The header of the ledger has no line break in a cell. */
export function withoutHeader(page: string): string {
  const end = page.indexOf("\n");
  return end < 0 ? "" : page.slice(end + 1);
}
