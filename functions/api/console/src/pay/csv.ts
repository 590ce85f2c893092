/** The ledger as a CSV file. */
import { credentials } from "../api/client.ts";
import { offline, problemOf } from "../api/problem.ts";
import { base } from "../base.ts";
import { expire } from "../signing_in/token.ts";
import { nextOf, withoutHeader } from "./csv_pages.ts";

/** Read every page of the ledger, and offer them as one file. */
export async function downloadLedger(query: URLSearchParams, name: string): Promise<void> {
  const pages: string[] = [];
  let address: string | null = `${base}/api/v1/usage/calls?${query}`;
  while (address !== null) {
    const response = await read(address);
    const text = await response.text();
    pages.push(pages.length === 0 ? text : withoutHeader(text));
    const next = nextOf(response.headers.get("Link"));
    address = next === null ? null : new URL(next, base).href;
  }
  offer(new Blob(pages, { type: "text/csv;charset=utf-8" }), name);
}

async function read(address: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, { headers: { ...credentials(), Accept: "text/csv" } });
  } catch (error) {
    throw offline(error);
  }
  if (response.status === 401) expire();
  if (!response.ok) throw await problemOf(response);
  return response;
}

function offer(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The download begins after this task.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
