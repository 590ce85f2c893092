/** Make a session's title of its first message. */

const MOST = 60;

/** The first words of a message on one line. */
export function titleOf(message: string): string {
  const line = message.replace(/[\s\p{Cc}]+/gu, " ").trim();
  const letters = [...line];
  if (letters.length <= MOST) return line;
  const cut = letters.slice(0, MOST - 1).join("");
  // Scripts without spaces are cut between any two letters.
  const space = cut.lastIndexOf(" ");
  return `${(space > MOST / 2 ? cut.slice(0, space) : cut).trimEnd()}…`;
}
