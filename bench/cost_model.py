"""Compute the cost and the load of a month by stage and number of turns.

Prices come from `infra_cdk/rates.py` and the stage's catalog, sizes from `infra_cdk/stage.py`, and a turn's bytes and
processor time from `bench/footprint.py`. All other figures are in `bench/assumed.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from bench.answers import mean_bytes, mean_requests
from bench.assumed import ASSUMED, Assumed
from bench.footprint import Footprint
from infra_cdk import rates
from infra_cdk.entries import COUNTING, ENTRIES, SCHEDULED, TURNS
from infra_cdk.metrics import ACCOUNTS
from infra_cdk.stage_catalog import StageCatalog, read
from infra_cdk.stage_checks import ACCOUNT_CONCURRENCY
from infra_cdk.stages import Stage
from shared.catalog import Kind, Model
from shared.names import ALARM_SERIES, Metric

MONTH_S: Final = rates.HOURS_A_MONTH * 3600
GB: Final = 1e9
GIB: Final = 2**30
# The alias of routing and summaries.
HELPER_ALIAS: Final = "fast"
# The stack has these numbers at any size. A test counts them in the template.
DASHBOARDS: Final = 2
ALARM_METRICS: Final = 49
# Alarm metrics of the proxy, which a stage without a proxy lacks.
PROXY_ALARM_METRICS: Final = 1
ACL_RULES: Final = 1
# The key of the alarms' topics.
ALARM_KEYS: Final = 1
# The number of series of each metric that alarms read.
ALARM_SERIES_VALUES: Final = MappingProxyType(
    {Metric.MONTH_USD: len(ACCOUNTS), Metric.FAILURES: len(COUNTING), Metric.SUCCESSFUL_RUNS: len(SCHEDULED)}
)
ALARM_SERIES_NUMBER: Final = sum(ALARM_SERIES_VALUES.get(metric, 1) for metric in ALARM_SERIES)
# Seconds between two copies of the issuer's keys, and between two reads by a process of the authorizer.
COPY_S: Final = 300
# Connections of functions that serve no clients.
SET_ASIDE: Final = 20
# Beyond this number a month, a read of the month takes minutes.
LEDGER_ROWS: Final = 50_000_000


PARTS: Final = ("models", "Lambda", "database", "queue", "network", "front door", "logs and metrics")


@dataclass(frozen=True)
class Month:
    """A month of a stage with a number of turns. Amounts are USD, sizes are bytes."""

    stage: Stage
    turns: int
    footprint: Footprint
    assumed: Assumed = ASSUMED

    @cached_property
    def catalog(self) -> StageCatalog:
        return read(self.stage)

    def costs(self) -> Mapping[str, float]:
        found = (
            self.turns * self.models_a_turn(),
            self._lambda(),
            self._database(),
            self._queue(),
            self._network(),
            self._front_door(),
            self._logs() + sum(self.watching().values()),
        )
        return dict(zip(PARTS, found, strict=True))

    def models_a_turn(self) -> float:
        return self._each_call(_call)

    def _each_call(self, amount: Callable[[Model, int, int], float]) -> float:
        """Add `amount` of each call of a turn, by model and tokens of prompt and answer.

        If the catalog lacks an alias, use the alias of helpers."""
        known, a = self.catalog.known, self.assumed
        helper = known[HELPER_ALIAS]
        agents = sum(amount(known.get(alias, helper), a.agent_prompt, a.agent_answer) for alias in a.agent_aliases)
        manager = amount(helper, a.helper_prompt, a.helper_answer)
        return agents + manager + 2 * amount(helper, a.agent_prompt, a.agent_answer) / a.turns_a_summary

    def calls_a_turn(self) -> float:
        return len(self.assumed.agent_aliases) + 1 + 2 / self.assumed.turns_a_summary

    def turn_s(self) -> float:
        """Return the seconds that Lambda bills for a turn: its calls one after the other, and its own time."""
        a = self.assumed
        tokens = len(a.agent_aliases) * a.agent_answer + a.helper_answer + 2 * a.agent_answer / a.turns_a_summary
        return self.calls_a_turn() * a.first_token_s + tokens / a.tokens_a_second + self.footprint.cpu_ms / 1000

    def handed_over(self) -> float:
        """Return the share of turns that the worker runs: those posted for later, or all that exceed `turn_seconds`."""
        outlasts = self.turn_s() > self.stage.turn_seconds
        return max(float(outlasts), self.assumed.posted_for_later)

    def stored_bytes(self) -> float:
        """Return the bytes that the month adds to the database: measured rows and indexes, and longer answers."""
        a = self.assumed
        text = (len(a.agent_aliases) * a.agent_answer + a.helper_answer) * a.token_bytes * a.copies
        return self.turns * (self.footprint.stored_bytes + text)

    def peak_turns_s(self) -> float:
        """Return the turns a second at the peak."""
        return self.assumed.peak * self.turns / MONTH_S

    def turns_at_once(self) -> float:
        """Return the concurrent invocations that run turns at the peak."""
        return self.peak_turns_s() * self.turn_s()

    def at_once(self) -> float:
        """Return all concurrent invocations at the peak."""
        return self.turns_at_once() + self.peak_turns_s() * self.assumed.reads_a_turn * self.assumed.read_s

    def limits(self) -> list[str]:
        """Return the limits of the stage or of a new account that the peak or the month exceeds."""
        peak = self.peak_turns_s()
        met = {
            "connections": not self.stage.proxy and self.at_once() > self.stage.connections - SET_ASIDE,
            "concurrency": self.turns_at_once() > self.stage.reserved.get(TURNS.name, ACCOUNT_CONCURRENCY),
            "requests": peak > self.stage.turn_rate or peak * self.assumed.reads_a_turn > self.stage.throttle_rate,
            "storage": self.stored_bytes() / GIB > self.stage.storage_limit_gib,
            "ledger": self.turns * self.calls_a_turn() > LEDGER_ROWS,
        }
        return [name for name, is_met in met.items() if is_met]

    def _lambda(self) -> float:
        a, gb = self.assumed, self.stage.memory_mb / 1024
        sweeps, reconciliations = (number * self.awake() for number in (MONTH_S / 60, rates.HOURS_A_MONTH))
        seconds = self.turns * (self.turn_s() + a.reads_a_turn * a.read_s)
        seconds += sweeps * self.footprint.sweep_cpu_ms * 2 / 1000 + reconciliations
        seconds += self._authorizations() * a.authorizer_s + MONTH_S / COPY_S * a.copy_s
        invocations = self._invocations() + self.turns * self.handed_over() + sweeps + reconciliations
        invocations += self._authorizations() + MONTH_S / COPY_S
        restored = invocations * a.cold_share * gb * rates.RESTORED_GB.usd
        restored *= self.stage.snap_start
        return (
            seconds * gb * rates.LAMBDA_GB_SECOND.usd
            + invocations * rates.LAMBDA_REQUEST.usd
            + restored
            + self.snapshots_usd()
        )

    def awake(self) -> float:
        """Return the share of the month in which the database runs."""
        return self.stage.awake.share if self.stage.awake else 1.0

    def snapshots_usd(self) -> float:
        """Return the cost of the snapshots from which functions start."""
        gb = self.stage.memory_mb / 1024
        snapshots = sum(entry.snap_start for entry in ENTRIES) * self.stage.snap_start
        return snapshots * gb * MONTH_S * rates.SNAPSHOT_GB_SECOND.usd

    def _database(self) -> float:
        zones = 2 if self.stage.multi_az else 1
        hours = zones * rates.DATABASE_HOUR[self.stage.instance_type].usd * self.awake()
        proxy = rates.PROXY_HOUR.usd if self.stage.proxy else 0.0
        gib = max(self.stage.storage_gib, self.stored_bytes() / GIB)
        log_gib = self.turns * self.footprint.wal_bytes / GIB * min(1.0, self.stage.backup_days / 30)
        backups = max(0.0, self.stored_bytes() / GIB + log_gib - gib) * rates.BACKUP_GIB_MONTH.usd
        return (hours + proxy) * rates.HOURS_A_MONTH + zones * gib * rates.STORAGE_GIB_MONTH.usd + backups

    def _queue(self) -> float:
        """Return the cost of send, receive and delete, and of polling an empty queue."""
        polling = self.assumed.pollers * MONTH_S / 20
        return (3 * self.turns * self.handed_over() + polling) * rates.QUEUE_REQUEST.usd

    def _network(self) -> float:
        a = self.assumed
        endpoints = len(self.endpoints()) * self.stage.endpoint_zones * rates.HOURS_A_MONTH * rates.ENDPOINT_HOUR.usd
        through = self._sent_gb("bedrock", answers=True) * rates.ENDPOINT_GB.usd
        answers = mean_bytes(a, self.footprint) + a.reads_a_turn * a.read_response_bytes
        egress = self.turns * answers / GB * rates.EGRESS_GB.usd
        between = self.turns * a.database_wire_bytes / 2 / GB * rates.ZONE_GB.usd
        return endpoints + through + self.providers_usd() + egress + between

    def endpoints(self) -> list[str]:
        """Return the private endpoints that the stack makes and AWS charges."""
        there = self.stage.vpc.endpoints if self.stage.vpc else ()
        needed = (name for name in self.stage.endpoints if name != "bedrock-runtime" or self.catalog.models)
        return [name for name in needed if name not in there]

    def series(self) -> int:
        """Return the number of series that the functions emit."""
        return ALARM_SERIES_NUMBER if self.stage.metrics == "alarms" else self.assumed.series

    def alarm_metrics(self) -> int:
        return ALARM_METRICS - PROXY_ALARM_METRICS * (not self.stage.proxy)

    def providers_usd(self) -> float:
        """Return the cost of the route to providers on the internet: gateways and their traffic."""
        sent = self._sent_gb("openai_compatible", answers=False) * rates.EGRESS_GB.usd
        if self.stage.egress != "nat":
            return sent
        hour = rates.NAT_HOUR.usd + rates.ADDRESS_HOUR.usd
        gateways = self.stage.endpoint_zones * rates.HOURS_A_MONTH * hour
        return sent + gateways + self._sent_gb("openai_compatible", answers=True) * rates.NAT_GB.usd

    def _sent_gb(self, kind: Kind, *, answers: bool) -> float:
        """Return the GB of prompts to providers of a kind, with or without their answers."""

        def tokens(model: Model, prompt: int, answer: int) -> float:
            return float(model.kind == kind) * (prompt + answers * answer)

        text = self._each_call(tokens) * self.assumed.token_bytes
        return self.turns * (text + (self._chunk_bytes(kind) if answers else 0.0)) / GB

    def _chunk_bytes(self, kind: Kind) -> float:
        """Return the bytes of chunks around a turn's tokens. Only agents' answers are streamed."""
        known, a = self.catalog.known, self.assumed
        agents = sum(known.get(alias, known[HELPER_ALIAS]).kind == kind for alias in a.agent_aliases)
        return a.streamed * agents * a.agent_answer * a.chunk_bytes

    def _front_door(self) -> float:
        """Return the cost of API Gateway, the web ACL and the bucket of the issuer's keys."""
        copies = MONTH_S / COPY_S
        keys = copies * (rates.OBJECT_WRITE.usd + self.assumed.authorizers * rates.OBJECT_READ.usd)
        acl = 0.0
        if self.stage.waf_rate is not None:
            acl = rates.ACL_MONTH.usd + ACL_RULES * rates.ACL_RULE_MONTH.usd
        return self._requests() * request_usd(self.stage) + acl + keys

    def _authorizations(self) -> float:
        return self.turns * self.assumed.authorizations_a_turn

    def _requests(self) -> float:
        """Return the requests that API Gateway charges."""
        return self.turns * (mean_requests(self.assumed, self.footprint) + self.assumed.reads_a_turn)

    def _invocations(self) -> float:
        """Return the requests that reach a function."""
        return self.turns * (1 + self.assumed.reads_a_turn)

    def _logs(self) -> float:
        a, f = self.assumed, self.footprint
        written = self.turns * f.logged_bytes + MONTH_S / 60 * self.awake() * (
            f.sweep_logged_bytes + a.lambda_log_bytes
        )
        written += self._invocations() * (a.lambda_log_bytes + a.access_log_bytes)
        written += self.turns * self.handed_over() * a.lambda_log_bytes
        written += (self._authorizations() + MONTH_S / COPY_S) * a.lambda_log_bytes
        return written * logged_byte_usd(self.stage, a)

    def watching(self) -> Mapping[str, float]:
        """Return the cost of metrics, alarms, dashboards, secrets and keys at any number of turns."""
        return {
            "metrics": self.series() * rates.METRIC_MONTH.usd,
            "alarms": self.alarm_metrics() * rates.ALARM_MONTH.usd + rates.COMPOSITE_MONTH.usd,
            "dashboards": DASHBOARDS * self.stage.dashboards * rates.DASHBOARD_MONTH.usd,
            # The owner's secret, and the secrets with keys of providers.
            "secrets": (1 + len(self.catalog.secrets)) * rates.SECRET_MONTH.usd,
            "keys": (ALARM_KEYS + int(self.stage.customer_key)) * rates.KEY_MONTH.usd,
        }


def request_usd(stage: Stage) -> float:
    """Return the price of a request without its function."""
    return rates.REST_REQUEST.usd + (0.0 if stage.waf_rate is None else rates.ACL_REQUEST.usd)


def logged_byte_usd(stage: Stage, assumed: Assumed) -> float:
    """Return the price of a byte of logs, written and kept."""
    kept = assumed.packed_logs * stage.log_days / 30
    return (rates.LOG_GB.usd + kept * rates.LOG_GB_MONTH.usd) / GB


def first_limits(stage: Stage, footprint: Footprint) -> tuple[int, list[str]]:
    """Return the most turns a month that a stage holds, to one percent, and the limits that come next."""
    held, more = 1000.0, 1.01
    while not (met := Month(stage, int(held * more), footprint).limits()):
        held *= more
    return int(held), met


def _call(model: Model, prompt: int, answer: int) -> float:
    return float(prompt * model.rates.input + answer * model.rates.output) / 1e6
