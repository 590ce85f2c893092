import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { shell } from "../strings.ts";

/** A page whose code is loaded when it is opened. */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let found: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [page, setPage] = useState<{ Page: ComponentType<Props> | null; failed: boolean }>({
      Page: found,
      failed: false,
    });
    useEffect(() => {
      // The browser loads a module once, however often it is asked for.
      if (page.Page) return;
      load().then(
        (Page) => {
          found = Page;
          setPage({ Page, failed: false });
        },
        () => setPage({ Page: null, failed: true }),
      );
    }, []);
    if (page.Page) return <page.Page {...props} />;
    if (!page.failed) return <Loading />;
    return (
      <div class="note" role="alert">
        <p>{shell.outdated}</p>
        <button type="button" onClick={() => location.reload()}>
          {shell.reload}
        </button>
      </div>
    );
  };
}

export function Loading() {
  return (
    <p class="loading" role="status">
      {shell.loading} …
    </p>
  );
}
