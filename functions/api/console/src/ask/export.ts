/** Take a session away as a file. The API's pages become one document. */
import { answered, api, ok } from "../api/client.ts";
import type { components } from "../api/schema.d.ts";

export type Format = "markdown" | "json";
type Pages = components["schemas"]["ExportView"];

export async function exportSession(sessionId: string, format: Format): Promise<void> {
  const text = format === "markdown" ? await markdown(sessionId) : await json(sessionId);
  const suffix = format === "markdown" ? "md" : "json";
  download(text, `session-${sessionId}.${suffix}`);
}

async function markdown(sessionId: string): Promise<string> {
  let text = "";
  let cursor: string | null = null;
  do {
    const { data, response } = await answered(
      api.GET("/api/v1/sessions/{session_id}/export", {
        params: { path: { session_id: sessionId }, query: { format: "markdown", cursor } },
        parseAs: "text",
      }),
    );
    text += data;
    cursor = nextCursor(response.headers.get("Link"));
  } while (cursor !== null);
  return text;
}

async function json(sessionId: string): Promise<string> {
  let whole = await page(sessionId, null);
  while (whole.next_cursor !== null) {
    const next = await page(sessionId, whole.next_cursor);
    const [turns, summaries] = [
      [...whole.turns, ...next.turns],
      [...whole.summaries, ...next.summaries],
    ];
    whole = { ...next, turns, summaries };
  }
  return JSON.stringify(whole, null, 2);
}

async function page(sessionId: string, cursor: string | null): Promise<Pages> {
  const params = { path: { session_id: sessionId }, query: { format: "json", cursor } } as const;
  // The document has a text for the other format.
  return (await ok(api.GET("/api/v1/sessions/{session_id}/export", { params }))) as Pages;
}

/** The cursor of the next page in a header `Link`. */
function nextCursor(link: string | null): string | null {
  const address = /<([^>]+)>/.exec(link ?? "")?.[1];
  return address === undefined ? null : new URL(address, location.href).searchParams.get("cursor");
}

function download(text: string, name: string): void {
  const address = URL.createObjectURL(new Blob([text]));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
