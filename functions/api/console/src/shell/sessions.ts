/** The list of sessions at the side. Pages that change a session reload it. */
import { signal } from "@preact/signals";

/** It grows by one when the list has to be loaded again. */
export const sessionsVersion = signal(0);

export function sessionsChanged(): void {
  sessionsVersion.value += 1;
}
