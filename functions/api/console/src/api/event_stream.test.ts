import assert from "node:assert/strict";
import { test } from "node:test";
import { readEvents, type ServerSentEvent, within } from "./event_stream.ts";

async function read(pieces: (string | Uint8Array)[]): Promise<ServerSentEvent[]> {
  const bytes = pieces.map((piece) => (typeof piece === "string" ? new TextEncoder().encode(piece) : piece));
  const events = [];
  for await (const event of readEvents(new Blob(bytes as BlobPart[]).stream())) events.push(event);
  return events;
}

test("readEvents joins pieces that arrive apart", async () => {
  const events = await read([
    ": comment\n\nid: 1\nev",
    'ent: plan\ndata: {"a":1}\n',
    "\nevent: x\ndata: cut off",
  ]);
  assert.deepEqual(events, [{ name: "plan", data: '{"a":1}', id: "1" }]);
});

test("readEvents keeps a text with other separators of lines", async () => {
  const text = "a\u2028b\u2029c\u0085d: e";
  assert.deepEqual(await read([`event: reply.completed\ndata: ${text}\n\n`]), [
    { name: "reply.completed", data: text, id: null },
  ]);
});

test("readEvents puts a letter together whose bytes arrive apart", async () => {
  const bytes = new TextEncoder().encode("data: é\n\n");
  assert.equal((await read([bytes.slice(0, 7), bytes.slice(7)]))[0]?.data, "é");
});

test("readEvents tells how long to pause", async () => {
  assert.deepEqual(await read(["retry: 2000\n\n:\n\n"]), [{ name: "retry", data: "2000", id: null }]);
});

test("readEvents gives a silent connection up", async () => {
  const silent = new ReadableStream<Uint8Array>();
  await assert.rejects(async () => {
    for await (const _ of readEvents(silent, 10)) assert.fail();
  }, /silent/);
});

test("within passes a result on that comes in time", async () => {
  assert.equal(await within(1_000, Promise.resolve(3)), 3);
});
