import type { ApiKey } from "../api/types.ts";
import { day, moment } from "../parts/time.ts";
import { href } from "../router.ts";
import { run } from "../strings.ts";
import { stateOf } from "./expiry.ts";

export function KeyTable({ keys, revoke }: { keys: readonly ApiKey[]; revoke: (key: ApiKey) => void }) {
  const words = run.keys;
  const titles = [run.name, words.role, words.prefix, words.by, words.expires, words.used, run.cells.status];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.table}>
      <table>
        <caption class="hidden">{words.table}</caption>
        <thead>
          <tr>
            {titles.map((title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
            <th scope="col">{run.cells.actions}</th>
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <KeyRow key={key.id} item={key} revoke={() => revoke(key)} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function KeyRow({ item, revoke }: { item: ApiKey; revoke: () => void }) {
  const words = run.keys;
  const state = stateOf(item, new Date());
  return (
    <tr>
      <th scope="row">
        <a href={href("usage/calls", { api_key_id: item.id })}>{item.name}</a>
      </th>
      <td>{item.role}</td>
      <td>
        <code>{item.prefix}…</code>
      </td>
      <td>
        {item.created_by}
        <span class="sub">{moment(item.created_at)}</span>
      </td>
      <td>{item.expires_at ? day(item.expires_at) : words.never}</td>
      <td>{item.last_used_at ? moment(item.last_used_at) : words.unused}</td>
      <td>
        <span class={`tag ${state === "active" ? "good" : "bad"}`}>
          {state === "revoked" && item.revoked_at
            ? words.revokedAt(day(item.revoked_at))
            : words[state === "active" ? "active" : "expired"]}
        </span>
      </td>
      <td class="actions">
        {state === "active" && (
          <button type="button" class="small danger" aria-label={words.revokeOf(item.name)} onClick={revoke}>
            {words.revoke}
          </button>
        )}
      </td>
    </tr>
  );
}
