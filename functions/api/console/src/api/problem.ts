/** An answer that is no success, or no answer at all. `code` is stable; `detail` is for people. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;
  readonly body: Record<string, unknown>;

  constructor(status: number, body: Record<string, unknown>) {
    super(text(body.detail) ?? text(body.message) ?? `HTTP ${status}`);
    this.status = status;
    this.code = text(body.code) ?? (status === 401 ? "unauthorized" : `http_${status}`);
    this.requestId = text(body.request_id);
    this.body = body;
  }

  /** No answer came: the connection was lost or never made. */
  get isOffline(): boolean {
    return this.status === 0;
  }
}

export function offline(error: unknown): Problem {
  return new Problem(0, { code: "offline", detail: error instanceof Error ? error.message : String(error) });
}

/** Read the problem of a response. Its body may be problem+json, the gateway's own JSON, or something else. */
export async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null);
  return new Problem(response.status, isRecord(body) ? body : {});
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | null {
  return typeof value === "string" && value ? value : null;
}
