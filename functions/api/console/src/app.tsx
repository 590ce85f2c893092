import { Boundary } from "./parts/boundary.tsx";
import { lazy } from "./parts/lazy.tsx";
import { route } from "./router.ts";
import { NotFound } from "./shell/not_found.tsx";
import { Shell } from "./shell/shell.tsx";
import { me } from "./signing_in/session.ts";
import { SignIn } from "./signing_in/sign_in.tsx";

const Ask = lazy(() => import("./ask/page.tsx").then((room) => room.AskPage));
const Turn = lazy(() => import("./turn/page.tsx").then((room) => room.TurnPage));
const Summary = lazy(() => import("./turn/summary_page.tsx").then((room) => room.SummaryPage));
const TurnAt = lazy(() => import("./turn/turn_at.tsx").then((room) => room.TurnAt));
const Usage = lazy(() => import("./pay/page.tsx").then((room) => room.UsagePage));
const Ledger = lazy(() => import("./pay/ledger_page.tsx").then((room) => room.LedgerPage));
const Agents = lazy(() => import("./run/agents_page.tsx").then((room) => room.AgentsPage));
const Councils = lazy(() => import("./run/councils_page.tsx").then((room) => room.CouncilsPage));
const Keys = lazy(() => import("./run/keys_page.tsx").then((room) => room.KeysPage));
const Models = lazy(() => import("./run/models_page.tsx").then((room) => room.ModelsPage));
const Health = lazy(() => import("./run/health_page.tsx").then((room) => room.HealthPage));
const Operations = lazy(() => import("./run/operations_page.tsx").then((room) => room.OperationsPage));

export function App() {
  if (!me.value) return <SignIn />;
  return (
    <Shell>
      <Boundary key={route.value.path.join("/")}>
        <Page />
      </Boundary>
    </Shell>
  );
}

/** Return the page of an address. The React key gives each object its own page. */
function Page() {
  const [room, id, part, number] = route.value.path;
  if (room === undefined) return <Ask key="new" sessionId={null} />;
  if (room === "sessions" && id && !part) return <Ask key={id} sessionId={id} />;
  if (room === "sessions" && id && part === "summary") return <Summary key={id} sessionId={id} />;
  if (room === "sessions" && id && part === "turns" && number)
    return <TurnAt key={`${id} ${number}`} sessionId={id} index={Number(number)} />;
  if (room === "turns" && id) return <Turn key={id} turnId={id} />;
  if (room === "usage") return id === "calls" ? <Ledger /> : <Usage />;
  if (room === "agents") return <Agents key={id} agentKey={id ?? null} />;
  if (room === "councils") return <Councils key={id} councilKey={id ?? null} />;
  if (room === "api-keys") return <Keys />;
  if (room === "models") return <Models />;
  if (room === "health") return <Health />;
  if (room === "operations") return <Operations section={id ?? null} />;
  return <NotFound />;
}
