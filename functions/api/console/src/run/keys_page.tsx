import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import type { ApiKey } from "../api/types.ts";
import { Confirm } from "../parts/confirm.tsx";
import { Icon } from "../parts/icons.tsx";
import { More } from "../parts/more.tsx";
import { Notice, tell } from "../parts/notice.tsx";
import { isAdmin } from "../signing_in/session.ts";
import { run } from "../strings.ts";
import { KeyTable } from "./key_table.tsx";
import { NewKey } from "./new_key.tsx";
import "./run.css";

/** The keys by which programs sign in. */
export function KeysPage() {
  const words = run.keys;
  const [isNew, setNew] = useState(false);
  const [doomed, setDoomed] = useState<ApiKey | null>(null);
  const pages = usePages(
    (cursor) => ok(api.GET("/api/v1/api-keys", { params: { query: { limit: 50, cursor } } })),
    [],
  );
  if (pages.problem?.status === 403) {
    return (
      <div class="page run">
        <h1>{words.title}</h1>
        <p class="note">{words.byKey}</p>
      </div>
    );
  }
  const revoke = async (key: ApiKey) => {
    await ok(api.DELETE("/api/v1/api-keys/{key_id}", { params: { path: { key_id: key.id } } }));
    tell(words.revoked(key.name));
    await pages.reload();
  };
  return (
    <div class="page run">
      <header class="row spread">
        <div>
          <h1>{words.title}</h1>
          <p class="muted">{words.lead}</p>
        </div>
        <button type="button" class="primary" onClick={() => setNew(true)}>
          <Icon name="plus" />
          {words.new}
        </button>
      </header>
      <Notice />
      {!isAdmin() && <p class="muted">{words.own}</p>}
      {pages.items.length === 0 && !pages.busy && !pages.problem && <p>{words.empty}</p>}
      {pages.items.length > 0 && <KeyTable keys={pages.items} revoke={setDoomed} />}
      <More pages={pages} />
      {isNew && <NewKey made={() => void pages.reload()} close={() => setNew(false)} />}
      {doomed && (
        <Confirm
          title={words.revokeTitle(doomed.name)}
          text={words.revokeText}
          action={words.revoke}
          isDangerous
          act={() => revoke(doomed)}
          close={() => setDoomed(null)}
        />
      )}
    </div>
  );
}
