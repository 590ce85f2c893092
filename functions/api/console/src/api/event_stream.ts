/** Read text/event-stream. */

export interface ServerSentEvent {
  name: string;
  data: string;
  id: string | null;
}

/** The API sends a comment every 15 s at most. A connection that is silent for longer is dead. */
const SILENCE_MS = 45_000;

/**
 * The events of a body, in order, and its `retry` fields as events of that name. An event that the body cuts off is left
 * out. Throws if nothing arrives for too long.
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  silenceMs = SILENCE_MS,
): AsyncGenerator<ServerSentEvent> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await within(silenceMs, reader.read());
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = eventOf(block);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The result of a promise. Throws if it takes longer. */
export async function within<Result>(milliseconds: number, result: Promise<Result>): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("The connection is silent.")), milliseconds);
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

function eventOf(block: string): ServerSentEvent | null {
  const event: ServerSentEvent = { name: "message", data: "", id: null };
  let hasData = false;
  for (const line of block.split("\n")) {
    // A text may hold separators of lines other than \n, which a dot in a pattern does not match.
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const [field, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    if (field === "event") event.name = value;
    if (field === "id") event.id = value;
    if (field === "retry") return { name: "retry", data: value, id: null };
    if (field === "data") {
      event.data += hasData ? `\n${value}` : value;
      hasData = true;
    }
  }
  return hasData ? event : null;
}
