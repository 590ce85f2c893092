/** Read text/event-stream. */

export interface ServerSentEvent {
  name: string;
  data: string;
  id: string | null;
}

/** The events of a body, in order. An event that the body cuts off is left out. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
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

function eventOf(block: string): ServerSentEvent | null {
  const event: ServerSentEvent = { name: "message", data: "", id: null };
  let hasData = false;
  for (const line of block.split("\n")) {
    const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (field === "event") event.name = value ?? "";
    if (field === "id") event.id = value ?? "";
    if (field === "data") {
      event.data += hasData ? `\n${value}` : (value ?? "");
      hasData = true;
    }
  }
  return hasData ? event : null;
}
