import { shell } from "../strings.ts";

/** Name the tab after the page's heading, so that people tell tabs and entries of the history apart. */
export function keepTitle(place: Element): void {
  const name = () => {
    const heading = place.querySelector("main h1")?.textContent?.trim() ?? "";
    const title = heading.includes(shell.product)
      ? heading
      : [heading, shell.product].filter(Boolean).join(" · ");
    if (document.title !== title) document.title = title;
  };
  new MutationObserver(name).observe(place, { childList: true, subtree: true, characterData: true });
}
