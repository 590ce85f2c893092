import type { ComponentChildren } from "preact";

/** A wide table scrolls inside this region, which the keyboard reaches. */
export function ScrollArea({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll" tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
