/** A session's turns as they are stored: newest first from the API, oldest first on the page. */
import { type Signal, signal } from "@preact/signals";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import type { Page, Turn } from "../api/types.ts";
import { merged } from "./turn_list.ts";

const PAGE = 10;

export class StoredTurns {
  readonly turns: Signal<readonly Turn[]> = signal([]);
  readonly busy = signal(false);
  readonly problem = signal<Problem | null>(null);
  readonly hasMore = signal(false);
  /** Whether the newest turns have been loaded once. */
  readonly loaded = signal(false);
  readonly #sessionId: string;
  #cursor: string | null = null;

  constructor(sessionId: string) {
    this.#sessionId = sessionId;
  }

  /** Load the newest turns. Those of other people appear, and earlier ones that were loaded stay. */
  async refresh(): Promise<void> {
    await this.#load(null, (page) => {
      const oldest = page.items.at(-1)?.turn_index ?? 0;
      // Without a turn in common, turns between the two pages would be missing.
      const joins = this.turns.value.some((turn) => turn.turn_index >= oldest);
      this.turns.value = merged(joins ? this.turns.value : [], page.items);
      if (!joins) this.#go(page.next_cursor);
      this.loaded.value = true;
    });
  }

  /** Load the turns before the oldest one. */
  async more(): Promise<void> {
    if (this.#cursor === null || this.busy.value) return;
    await this.#load(this.#cursor, (page) => {
      this.turns.value = merged(this.turns.value, page.items);
      this.#go(page.next_cursor);
    });
  }

  add(turn: Turn): void {
    this.turns.value = merged(this.turns.value, [turn]);
  }

  #go(cursor: string | null): void {
    this.#cursor = cursor;
    this.hasMore.value = cursor !== null;
  }

  async #load(cursor: string | null, take: (page: Page<Turn>) => void): Promise<void> {
    this.busy.value = true;
    this.problem.value = null;
    try {
      take(
        await ok(
          api.GET("/api/v1/sessions/{session_id}/turns", {
            params: { path: { session_id: this.#sessionId }, query: { order: "desc", limit: PAGE, cursor } },
          }),
        ),
      );
    } catch (error) {
      this.problem.value = problemFrom(error);
    } finally {
      this.busy.value = false;
    }
  }
}
