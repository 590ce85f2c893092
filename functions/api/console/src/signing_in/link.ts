/** The token in an address `#token=…`, which `pantheon run` prints. */
export function tokenOf(hash: string): string | null {
  const given = /^#token=([^&]*)/.exec(hash)?.[1];
  if (given === undefined) return null;
  try {
    return decodeURIComponent(given).trim();
  } catch {
    // The API refuses it in words.
    return given;
  }
}
