import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import { Problem } from "../api/problem.ts";
import type { Health } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { moment } from "../parts/time.ts";
import { me } from "../signing_in/session.ts";
import { run } from "../strings.ts";
import { checksOf, commitOf, healthIn } from "./checks.ts";
import { Clients } from "./clients.tsx";
import { Facts } from "./facts.tsx";
import "./run.css";

/** How this deployment does, who the reader is, and how programs connect to it. */
export function HealthPage() {
  const words = run.health;
  const found = useLoaded(loadHealth, []);
  return (
    <div class="page run">
      <header class="row spread">
        <h1>{words.title}</h1>
        <button type="button" disabled={found.busy} onClick={found.reload}>
          {words.again}
        </button>
      </header>
      {found.problem && <ErrorNote problem={found.problem} />}
      {!found.data && found.busy && <Loading />}
      {found.data && <State health={found.data.health} at={found.data.at} />}
      <section class="card stack">
        <h2>{words.you}</h2>
        <Facts
          facts={[
            [words.user, me.value?.user_id],
            [words.email, me.value?.email],
            [words.tenant, me.value?.tenant_id],
            [words.roles, me.value?.roles.join(", ")],
          ]}
        />
      </section>
      <Clients />
    </div>
  );
}

async function loadHealth(): Promise<{ health: Health; at: string }> {
  const at = () => new Date().toISOString();
  try {
    return { health: await ok(api.GET("/api/v1/health")), at: at() };
  } catch (error) {
    // A failing check is an answer, too.
    const health = error instanceof Problem ? healthIn(error.body) : null;
    if (!health) throw error;
    return { health, at: at() };
  }
}

function State({ health, at }: { health: Health; at: string }) {
  const words = run.health;
  const isOk = health.status === "ok";
  return (
    <section class="card stack">
      <div role="status" class="row spread">
        <p class="state">
          <span class={`tag ${isOk ? "good" : "bad"}`}>{isOk ? words.works : words.fails}</span>
          {isOk ? words.ok : words.failing}
        </p>
        <span class="muted small">{words.checked(moment(at))}</span>
      </div>
      <Facts
        facts={[
          [words.stage, health.stage],
          [words.version, health.version],
          [words.commit, commitOf(health)],
        ]}
      />
      <h2>{words.checks}</h2>
      <ul>
        {checksOf(health).map((check) => (
          <li key={check.name} class="check-line">
            <span class={`tag ${check.isWorking ? "good" : "bad"}`}>
              {check.isWorking ? words.works : words.fails}
            </span>
            <span class="check-name">{check.name}</span>
            {check.detail && <span class="muted small">{check.detail}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
