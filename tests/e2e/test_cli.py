import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from local.data_folder import StackError
from local.gateway.tokens import AUDIENCE, ISSUER, TokenKey
from local.stack import Stack
from tests.support.processes import family_of, runs
from tests.support.stack.tenant import open_client

PANTHEON = [sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())"]
TIMEOUT_S = 60.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    return inherited | {
        "PANTHEON_PORT": "0",
        "PANTHEON_DATA_DIR": str(tmp_path / "data dir"),
        "PANTHEON_LLM_PROVIDER": "scripted",
    }


def pantheon(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*PANTHEON, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def failure(environ: dict[str, str], *arguments: str) -> str:
    """The one line on stderr of a command that fails."""
    ended = pantheon(environ, *arguments)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    return line


def claims_of(key: TokenKey, printed: str) -> dict[str, Any]:
    """The claims of the line's token, which `key` signed."""
    (published,) = jwt.PyJWKSet.from_dict(key.jwks).keys
    token = printed.removesuffix("\n")
    claims: dict[str, Any] = jwt.decode(token, published, ["RS256"], audience=AUDIENCE, issuer=ISSUER)
    return claims


class TestToken:
    def test_token_prints_only_a_token_signed_by_the_data_directorys_key(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "data dir").mkdir()
        key = TokenKey.load_or_create(tmp_path / "data dir")
        who = ["--tenant", "acme", "--user", "ada", "--role", "admin", "--role", "member", "--ttl", "30m"]
        ended = pantheon(environ, "token", *who)
        assert ended.stderr == ""
        claims = claims_of(key, ended.stdout)
        assert (claims["tenant_id"], claims["sub"], claims["roles"]) == ("acme", "ada", ["admin", "member"])
        assert claims["exp"] - claims["iat"] == 1800

    def test_token_prints_the_consoles_link_on_standard_error(self, environ: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "data dir").mkdir()
        TokenKey.load_or_create(tmp_path / "data dir")
        ended = pantheon(environ | {"PANTHEON_PORT": "8123"}, "token", "--tenant", "acme", "--user", "ada")
        assert ended.stderr == f"Console  http://127.0.0.1:8123/console/#token={ended.stdout}"

    def test_token_has_the_configured_claims_and_operator_role(self, environ: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "data dir").mkdir()
        key = TokenKey.load_or_create(tmp_path / "data dir")
        names = {"PANTHEON_TENANT_CLAIM": "org", "PANTHEON_ROLES_CLAIM": "groups", "PANTHEON_OPERATOR_ROLE": "crane"}
        who = ["--tenant", "acme", "--user", "ada", "--role", "operator", "--role", "member"]
        claims = claims_of(key, pantheon(environ | names, "token", *who).stdout)
        assert (claims["org"], claims["groups"]) == ("acme", ["crane", "member"])
        assert not {"tenant_id", "roles"} & set(claims)

    def test_token_without_a_user_is_refused_unless_it_is_shown(self, environ: dict[str, str]) -> None:
        ended = pantheon(environ, "token", "--tenant", "acme")
        assert (ended.returncode, "token needs --tenant and --user, or --show" in ended.stderr) == (2, True)
        assert "start `pantheon run`" in failure(environ, "token", "--show")

    def test_token_says_how_to_get_a_key_without_one(self, environ: dict[str, str]) -> None:
        assert "pantheon run" in failure(environ, "token", "--tenant", "acme", "--user", "ada")

    @pytest.mark.parametrize("ttl", ["", "8", "h", "0h", "-1h", "8w", "999999d"])
    def test_token_refuses_a_bad_duration(self, environ: dict[str, str], ttl: str) -> None:
        ended = pantheon(environ, "token", "--tenant", "acme", "--user", "ada", f"--ttl={ttl}")
        assert ended.returncode == 2
        assert "--ttl" in ended.stderr


class TestRunFails:
    def test_run_fails_on_a_used_port(self, environ: dict[str, str], tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            line = failure(environ | {"PANTHEON_PORT": str(port)}, "run")
        assert line == f"pantheon: Port {port} is taken; set PANTHEON_PORT to another one."
        assert not (tmp_path / "data dir").exists()

    @pytest.mark.parametrize("command", ["run", "status", "doctor", "chat", "logs", "export"])
    def test_command_fails_on_an_unknown_variable_and_suggests_a_known_one(
        self, environ: dict[str, str], command: str
    ) -> None:
        line = failure(environ | {"PANTHEON_TURN_SECOND": "5"}, command)
        assert line == (
            "pantheon: PANTHEON_TURN_SECOND is not a variable of Pantheon. Did you mean PANTHEON_TURN_SECONDS?"
        )

    def test_run_fails_on_a_bad_value(self, environ: dict[str, str]) -> None:
        assert failure(environ | {"PANTHEON_TURN_SECONDS": "soon"}, "run").startswith(
            "pantheon: PANTHEON_TURN_SECONDS: "
        )

    def test_run_fails_on_a_silent_database_without_printing_its_password(self, environ: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
        line = failure(environ | {"PANTHEON_DATABASE_URL": f"postgresql://owner:s3cret@127.0.0.1:{port}/db"}, "run")
        assert line.startswith(f"pantheon: The database at 127.0.0.1:{port} cannot be reached: ")
        assert "s3cret" not in line


class TestStackFails:
    def test_stack_fails_on_a_data_directory_that_cannot_be_made(self, environ: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StackError, match=r"^PANTHEON_DATA_DIR: "):
            Stack.start(environ | {"PANTHEON_DATA_DIR": str(tmp_path / "file" / "data")})

    def test_stack_fails_on_a_data_directory_that_other_users_can_write(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        tmp_path.chmod(0o1777)
        with pytest.raises(StackError, match=r"shared with other users; name a folder of its own\.$"):
            Stack.start(environ | {"PANTHEON_DATA_DIR": str(tmp_path)})
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://owner:s3c@ret@127.0.0.1/db",
            "postgresql://owner:s3c/ret@127.0.0.1/db",
            "postgresql://owner:s3c#ret@127.0.0.1:x/db",
            "postgresql://owner:s3cret@127.0.0.1/db?ret=1",
            "host=127.0.0.1 password=s3cret",
            "s3cret",
        ],
    )
    def test_stack_fails_on_a_bad_database_url_without_printing_its_password(
        self, environ: dict[str, str], url: str
    ) -> None:
        with pytest.raises(StackError, match=r"^PANTHEON_DATABASE_URL: ") as raised:
            Stack.start(environ | {"PANTHEON_DATABASE_URL": url})
        assert not re.search("s3c|ret", str(raised.value))


class TestRun:
    @pytest.fixture
    def running(self, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
        pipe = subprocess.PIPE
        with subprocess.Popen([*PANTHEON, "run"], env=environ, text=True, stdout=pipe, stderr=pipe) as process:
            yield process
            process.kill()

    def test_run_prints_working_commands_and_ends_with_0_after_ctrl_c(
        self, environ: dict[str, str], running: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        printed = read_until(running, "curl ")
        (url,) = re.findall(r"^Pantheon accepts requests at (\S+)$", printed, re.MULTILINE)
        (token,) = re.findall(rf"^Console  {url}/console/#token=(\S+)$", printed, re.MULTILINE)
        # Tokens have a short lifetime in all other places.
        assert printed.count(token) == 1
        assert f"\nToken    {token[:8]}…  (" in printed
        assert pantheon(environ, "token", "--show").stdout == f"{token}\n"
        assert stat.S_IMODE((tmp_path / "data dir" / "token").stat().st_mode) == 0o600
        me = httpx.get(f"{url}/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}).json()
        assert (me["tenant_id"], me["user_id"], me["roles"]) == ("demo", "demo", ["member", "admin"])
        curl = ["sh", "-c", f"{printed.splitlines()[-1]} -s -w ' %{{http_code}}'"]
        assert subprocess.run(curl, capture_output=True, text=True, check=True).stdout.endswith(" 201")
        reported = read_until(running, r"\d\d:\d\d:\d\d  turn ")
        processes = family_of(running.pid)
        # PostgreSQL and the templates of five functions. That of `admin` starts with its first request.
        assert len(processes) > 8
        running.send_signal(signal.SIGINT)
        code, printed, errors = ended(running)
        assert (code, errors) == (0, "")
        assert printed == "Stopping ...\nStopped.\n"
        told = r"\n\d\d:\d\d:\d\d  turn    Demo +writer, researcher  \d+\.\d s  0\.\d+ USD  [0-9a-f]{12}\n"
        assert re.fullmatch(told, reported), reported
        assert not any(map(runs, processes))
        published = json.loads((tmp_path / "data dir" / "jwks.json").read_text())
        assert published == TokenKey.load(tmp_path / "data dir").jwks
        assert not (tmp_path / "data dir" / "log" / "gateway.log").exists(), "the gateway had nothing to complain of"

    def test_run_prints_only_objects_with_json_and_no_turn_with_quiet(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        environ |= {"PANTHEON_DATA_DIR": str(tmp_path / "data")}
        printed, url = dict[str, list[str]](), ""
        for option, first in {"--json": "{", "--quiet": "Pantheon accepts"}.items():
            command = [*PANTHEON, "run", option]
            with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE) as running:
                text = read_until(running, re.escape(first))
                (url,) = re.findall(r"http://[\d.:]+", text)
                token = pantheon(environ, "token", "--show").stdout.strip()
                with open_client(url, token) as http:
                    (session,) = http.get("sessions").json()["items"]
                    answer = http.post(f"sessions/{session['id']}/turns", json={"message": "hello"})
                    assert answer.status_code == 201
                if option == "--json":
                    text += read_until(running, "{")
                running.terminate()
                assert running.stdout is not None
                printed[option] = (text + running.stdout.read()).split("\n")[:-1]
        started, turn = map(json.loads, printed["--json"])
        assert (started["kind"], turn["kind"], turn["status"]) == ("started", "turn", "completed")
        assert Path(started["token_file"]) == tmp_path / "data" / "token"
        assert [line for line in printed["--quiet"] if line] == [f"Pantheon accepts requests at {url}"]

    def test_run_closes_its_files_and_those_of_an_earlier_release_to_other_users(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        data_dir, old_log = tmp_path / "data dir", tmp_path / "data dir" / "log" / "api.log"
        old_log.parent.mkdir(parents=True)
        old_log.touch()
        TokenKey.load_or_create(data_dir)
        for path in (data_dir, old_log.parent, old_log, data_dir / "token-key.pem"):
            path.chmod(0o777 if path.is_dir() else 0o666)
        command = [*PANTHEON, "run"]
        with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE, umask=0) as running:
            read_until(running, "curl ")
            cluster = data_dir / "postgres" / "cluster"
            found = {path: stat.S_IMODE(path.stat().st_mode) for path in everything_in(data_dir, cluster)}
            status = Path(f"/proc/{running.pid}/status").read_text()
            running.terminate()
        assert "Umask:\t0077\n" in status
        assert {path.name for path in found} >= {"log", "sweeper.log", "server.log", "pgpass", "jwks.json", "cluster"}
        assert {path: oct(mode) for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}

    @pytest.mark.parametrize("moment", ["Making", "Migrating", "Starting the functions"])
    def test_run_ends_with_0_after_a_signal_during_its_start(self, running: subprocess.Popen[str], moment: str) -> None:
        read_until(running, moment)
        processes = family_of(running.pid)
        running.send_signal(signal.SIGTERM)
        code, printed, errors = ended(running)
        assert (code, printed.splitlines()[-1], errors) == (0, "Stopped.", "")
        assert not any(map(runs, processes))


def everything_in(folder: Path, *not_within: Path) -> Iterator[Path]:
    yield folder
    for path in () if folder in not_within else folder.iterdir():
        yield from everything_in(path, *not_within) if path.is_dir() else [path]


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return the exit code and the remaining output. communicate() would skip the pipe's buffer."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.wait(TIMEOUT_S), process.stdout.read(), process.stderr.read()


def read_until(process: subprocess.Popen[str], start: str) -> str:
    """Return the output up to the line that begins with the regular expression `start`."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if re.match(start, line):
            return printed
    raise AssertionError(f"it ended before {start!r}: {printed}")
