import type { ComponentChildren } from "preact";
import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { Notice } from "../parts/notice.tsx";
import { href, route } from "../router.ts";
import { NotFound } from "../shell/not_found.tsx";
import { run } from "../strings.ts";
import { Platform } from "./platform.tsx";
import { Suspense } from "./suspense.tsx";
import { Tenant } from "./tenant.tsx";
import { Tenants } from "./tenants.tsx";
import { Waiting } from "./waiting.tsx";
import "./run.css";

const SECTIONS = ["tenants", "platform", "suspense", "waiting"] as const;

type Section = (typeof SECTIONS)[number];

/** For those who operate the deployment. The API decides who that is. */
export function OperationsPage({ section }: { section: string | null }) {
  const words = run.operations;
  const platform = useLoaded(() => ok(api.GET("/api/v1/admin/platform/budget")), []);
  const open = SECTIONS.find((one) => one === (section ?? "tenants"));
  if (!open) return <NotFound />;
  const isForbidden = platform.problem?.status === 403;
  return (
    <div class="page run">
      <h1>{words.title}</h1>
      {isForbidden && <p class="note">{words.forbidden}</p>}
      {platform.problem && !isForbidden && <ErrorNote problem={platform.problem} retry={platform.reload} />}
      {!platform.data && platform.busy && <Loading />}
      {platform.data && (
        <>
          <Tabs open={open} />
          <Notice />
          {sectionOf(open)}
        </>
      )}
    </div>
  );
}

function sectionOf(open: Section): ComponentChildren {
  const tenant = route.value.query.get("tenant");
  if (open === "platform") return <Platform />;
  if (open === "suspense") return <Suspense />;
  if (open === "waiting") return <Waiting />;
  return tenant ? <Tenant key={tenant} tenantId={tenant} /> : <Tenants />;
}

function Tabs({ open }: { open: Section }) {
  return (
    <nav class="tabs" aria-label={run.operations.sections}>
      {SECTIONS.map((section) => (
        <a
          key={section}
          href={href(`operations/${section}`)}
          aria-current={section === open ? "page" : undefined}
        >
          {run.operations[section]}
        </a>
      ))}
    </nav>
  );
}
