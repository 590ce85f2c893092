import { shell } from "../strings.ts";

/** The title of a session. One of spaces and formatting characters shows nothing, so a link of it could not be read. */
export function shownTitle(title: string): string {
  return /[^\s\p{C}\u{115F}\u{1160}\u{2800}\u{3164}\u{FFA0}]/u.test(title) ? title : shell.untitled;
}
