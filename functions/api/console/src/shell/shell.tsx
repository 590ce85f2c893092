import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "../parts/icons.tsx";
import { href, route } from "../router.ts";
import { Expired } from "../signing_in/expired.tsx";
import { Offer } from "../signing_in/offer.tsx";
import { config, me, signOut } from "../signing_in/session.ts";
import { shell } from "../strings.ts";
import { isOperator } from "./operator.ts";
import { SessionList } from "./session_list.tsx";

/** The frame of every page: navigation at the side, folded away on a narrow screen, and one main landmark. */
export function Shell({ children }: { children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const address = route.value;
  useEffect(() => setOpen(false), [address]);
  useFocus(main, address.path.join("/"));
  useEffect(() => {
    const close = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, []);
  return (
    <div class={`shell ${open ? "menu-open" : ""}`}>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        {shell.skip}
      </button>
      <header class="top">
        <button
          type="button"
          class="plain"
          aria-expanded={open}
          aria-controls="side"
          onClick={() => setOpen(!open)}
        >
          <Icon name={open ? "close" : "menu"} />
          <span class="hidden">{open ? shell.closeMenu : shell.menu}</span>
        </button>
        <Brand />
      </header>
      <aside class="side" id="side" aria-label={shell.sidebar}>
        <Brand />
        <a class="button primary" href={href("")}>
          <Icon name="plus" />
          {shell.newSession}
        </a>
        <SessionList />
        <Pages />
        <Account />
      </aside>
      <main ref={main} tabIndex={-1}>
        <Expired />
        <Offer />
        {children}
      </main>
    </div>
  );
}

/** Take the focus along to another page, unless the page has put it somewhere already. */
function useFocus(main: RefObject<HTMLElement | null>, page: string): void {
  const shown = useRef(page);
  useEffect(() => {
    if (shown.current === page) return;
    shown.current = page;
    if (!main.current?.contains(document.activeElement)) main.current?.focus({ preventScroll: true });
  }, [page]);
}

function Brand() {
  const stage = config.value?.stage;
  return (
    <a class="brand" href={href("")}>
      <Icon name="temple" />
      {shell.product}
      {stage && <span class="tag">{stage}</span>}
    </a>
  );
}

function Pages() {
  const pages: [string, string, IconName][] = [
    ["usage", shell.usage, "chart"],
    ["agents", shell.agents, "people"],
    ["councils", shell.councils, "temple"],
    ["models", shell.models, "cube"],
    ["api-keys", shell.keys, "key"],
    ["health", shell.health, "heart"],
  ];
  if (isOperator.value) pages.push(["operations", shell.operations, "tools"]);
  return (
    <nav class="pages" aria-label={shell.navigation}>
      <ul>
        {pages.map(([path, name, icon]) => (
          <li key={path}>
            <a href={href(path)} aria-current={route.value.path[0] === path ? "page" : undefined}>
              <Icon name={icon} />
              {name}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Account() {
  const who = me.value?.email ?? me.value?.user_id ?? "";
  const tenant = shell.tenant(me.value?.tenant_id ?? "");
  return (
    <div class="account row spread">
      <span class="small muted ellipsis" title={`${who}, ${tenant}`}>
        {shell.signedInAs(who)}
        <br />
        {tenant}
      </span>
      <button type="button" class="plain small" onClick={signOut}>
        <Icon name="out" />
        {shell.signOut}
      </button>
    </div>
  );
}
