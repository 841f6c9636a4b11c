"""Settings: where they come from, and what is said of bad ones."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from catchment.adapters.cli.commands import build
from catchment.config.main import actions_of
from catchment.config.settings import BadSettings, RateSettings, Settings, load
from catchment.core.limits import Limits


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "catchment.toml"


def problems(config: Path | None, environment: Mapping[str, str]) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load(str(config) if config else None, environment)
    return caught.value.lines


def run(*arguments: str, **environment: str) -> Result:
    """Runs the real command line under these settings and no others."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CATCHMENT_")}
    clean["CATCHMENT_CONFIG"] = ""
    return CliRunner().invoke(build(actions_of, "1"), arguments, env={**clean, **environment})


def test_without_any_the_defaults_hold() -> None:
    settings = load(None, {})
    assert settings == Settings()
    assert (settings.database.url, settings.http.port, settings.http.workers) == ("embedded", 8080, 1)
    assert settings.collect.deadline == 5.0
    assert settings.rate == RateSettings(per_key=0, per_address=1_000, address_burst=40_000)
    assert settings.limits == Limits()
    assert settings.http.trusted_proxies == ()
    loopback, public = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("203.0.113.9")
    assert any(loopback in network for network in settings.http.operator_networks)
    assert not any(public in network for network in settings.http.operator_networks)


def test_the_environment_comes_before_the_file_and_the_file_before_the_defaults(toml: Path) -> None:
    toml.write_text('[http]\nport = 8081\nworkers = 3\nhost = "192.0.2.1"\n')
    settings = load(str(toml), {"CATCHMENT_HTTP__PORT": "8082"})
    assert (settings.http.port, settings.http.workers, settings.http.host) == (8082, 3, "192.0.2.1")
    assert settings.http.idle_seconds == Settings().http.idle_seconds


def test_the_file_that_is_named_comes_before_the_environment_s(toml: Path, tmp_path: Path) -> None:
    toml.write_text("[http]\nport = 1001\n")
    other = tmp_path / "other.toml"
    other.write_text("[http]\nport = 1002\n")
    environment = {"CATCHMENT_CONFIG": str(other)}
    assert load(None, environment).http.port == 1002
    assert load(str(toml), environment).http.port == 1001


def test_everything_others_rely_on_can_be_set_by_the_environment() -> None:
    settings = load(
        None,
        {
            "CATCHMENT_DATABASE__URL": "postgresql://u:p@db.example:5433/events?sslmode=require",
            "CATCHMENT_DATABASE__DIRECTORY": "/srv/catchment",
            "CATCHMENT_HTTP__HOST": "::",
            "CATCHMENT_HTTP__PORT": "80",
            "CATCHMENT_HTTP__WORKERS": "4",
            "CATCHMENT_HTTP__PUBLIC_URL": "https://collect.example/",
            "CATCHMENT_HTTP__TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,fd00::/8",
            "CATCHMENT_HTTP__OPERATOR_NETWORKS": "",
            "CATCHMENT_COLLECT__DEADLINE": "2.5",
            "CATCHMENT_LIMITS__RATE_PER_KEY": "100",
            "CATCHMENT_LIMITS__RATE_PER_ADDRESS": "0.5",
            "CATCHMENT_LIMITS__BODY_BYTES": "1024",
            "CATCHMENT_PLUGINS__DISABLED": "bots, geography",
            "CATCHMENT_PLUGINS__TRACE": "true",
            "CATCHMENT_PLUGINS__CSV__DIRECTORY": "/srv/bills",
            "CATCHMENT_LOG__LEVEL": "debug",
        },
    )
    assert settings.database.url == "postgresql://u:p@db.example:5433/events?sslmode=require"
    assert settings.database.directory == Path("/srv/catchment")
    assert (settings.http.host, settings.http.port, settings.http.workers) == ("::", 80, 4)
    assert settings.public_url == "https://collect.example"
    assert [str(network) for network in settings.http.trusted_proxies] == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
    assert settings.http.operator_networks == ()
    assert settings.collect.deadline == 2.5
    assert settings.rate == RateSettings(per_key=100, per_address=0.5, address_burst=0)
    assert settings.limits == dataclasses.replace(Limits(), body_bytes=1024)
    assert (settings.plugins.disabled, settings.plugins.trace) == (("bots", "geography"), True)
    assert settings.plugins.sections == {"csv": {"directory": "/srv/bills"}}
    assert settings.log_level == "debug"


def test_lists_are_arrays_in_the_file(toml: Path) -> None:
    toml.write_text('[http]\ntrusted_proxies = ["10.0.0.0/8", "::1"]\n[plugins]\ndisabled = ["bots"]\n')
    settings = load(str(toml), {})
    assert [str(network) for network in settings.http.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.plugins.disabled == ("bots",)


def test_a_plugin_s_section_is_its_own_and_the_environment_adds_to_it(toml: Path) -> None:
    toml.write_text('[plugins.geography]\ndatabase = "a.mmdb"\nmore = [1, 2]\n')
    settings = load(str(toml), {"CATCHMENT_PLUGINS__GEOGRAPHY__DATABASE": "b.mmdb"})
    assert settings.plugins.sections == {"geography": {"database": "b.mmdb", "more": [1, 2]}}


@pytest.mark.parametrize(
    "name", ["CATCHMENT_PORT", "CATCHMENT_SERVICE_HOST", "CATCHMENT_HTTP_PORT", "CATCHMENT_", "CATCHMENT", "HTTP__PORT"]
)
def test_names_without_two_underscores_are_ignored(name: str) -> None:
    """Kubernetes injects such for a service that is called catchment."""
    assert load(None, {name: "tcp://10.0.0.1:80"}) == Settings()


def test_the_public_address_falls_back_to_host_and_port() -> None:
    assert load(None, {}).public_url == "http://localhost:8080"
    assert load(None, {"CATCHMENT_HTTP__HOST": "collect.lan"}).public_url == "http://collect.lan:8080"


# what is bad


def test_everything_that_is_bad_is_said_at_once(toml: Path) -> None:
    toml.write_text('top = 1\n[http]\nport = 99999\nspeed = "fast"\n[nonsense]\na = 1\n[plugins]\ndisabled = 7\n')
    environment = {
        "CATCHMENT_DATABASE__URL": "mysql://u:p@h/d",
        "CATCHMENT_LIMITS__RATE_PER_KEY": "many",
        "CATCHMENT_HTPP__PORT": "80",
        "CATCHMENT_TOP__KEY": "1",
    }
    lines = problems(toml, environment)
    for word in ("top", "http.port", "http.speed", "nonsense", "plugins.disabled", "database.url", "rate_per_key"):
        assert [line for line in lines if word in line], f"nothing of {word} in {lines}"
    assert [line for line in lines if "htpp" in line]
    assert all("\n" not in line for line in lines)


BAD = {
    "CATCHMENT_HTTP__PORT": ["-1", "65536", "http", "", "80.5"],
    "CATCHMENT_HTTP__WORKERS": ["0", "65", "two"],
    "CATCHMENT_HTTP__HOST": ["http://localhost", "localhost:8080", "[::1]", "a b", "a/b", "192.0.2.0/24"],
    "CATCHMENT_HTTP__PUBLIC_URL": [
        *("collect.example", "ftp://collect.example", "javascript:1", "https://", "https:///x", "//collect.example"),
        *(
            "https://x/stats?x=1",
            "https://x/?",
            "https://x/#top",
            "https://x:0",
            "https://x:99999",
            "https://x:",
            "https://x y",
        ),
        *('https://x/"><script>', "https://x\\y", "https://bücher.example", "https://-x.example", "https://[::1"),
    ],
    "CATCHMENT_HTTP__TRUSTED_PROXIES": [
        "10.0.0.0/33",
        "proxy.example",
        "10.0.0.0/8 fd00::/8",
        "10.0.0.5/8",
        "fd00::1/8",
    ],
    "CATCHMENT_HTTP__OPERATOR_NETWORKS": ["all", "192.168.1.7/24"],
    "CATCHMENT_HTTP__IDLE_SECONDS": ["65s", "1m", "0", "601"],
    "CATCHMENT_COLLECT__DEADLINE": ["0", "-1", "nan", "inf", "soon", "5s", "5 s", "5000ms"],
    "CATCHMENT_LIMITS__RATE_PER_KEY": ["-1", "nan", "1e-300", "1e300"],
    "CATCHMENT_LIMITS__RATE_PER_ADDRESS": ["0.0001"],
    "CATCHMENT_LIMITS__BATCH_EVENTS": ["0", "9999999999"],
    "CATCHMENT_LIMITS__BROWSER_PAST": ["315360001"],
    "CATCHMENT_LIMITS__FUTURE": ["315360001"],
    "CATCHMENT_LIMITS__EVENT_ID": ["501"],
    "CATCHMENT_LIMITS__LOSS_ID": ["501"],
    "CATCHMENT_LIMITS__JSON_DEPTH": ["501"],
    "CATCHMENT_LIMITS__DATA_DEPTH": ["101"],
    "CATCHMENT_DATABASE__URL": ["", "sqlite://", "embeded", "host=db", "postgresql://h/d?nonsense=1"],
    "CATCHMENT_DATABASE__DIRECTORY": ["", "data", "./data", "postgresql://db.example/events"],
    "CATCHMENT_LOG__LEVEL": ["loud"],
    "CATCHMENT_PLUGINS__TRACE": ["perhaps"],
    "CATCHMENT_HTTP__NONSENSE": ["1"],
    "CATCHMENT_NONSENSE__PORT": ["1"],
}


UNREPEATED = [("database", "url"), ("http", "nonsense"), ("nonsense", "port")]
"""What can hold a secret, and names that are not known: their values may be a secret's."""


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_one_line_that_names_it(name: str, value: str) -> None:
    (line,) = problems(None, {name: value})
    section, _, key = name.removeprefix("CATCHMENT_").lower().partition("__")
    assert line.startswith(f"{section}.{key}: ") or line.startswith(f"{section}: ")
    assert name in line
    if (section, key) not in UNREPEATED:
        assert repr(value) in line


@pytest.mark.parametrize(
    "text",
    [
        "[http]\nport = 80.5\n",
        "[http]\nport = true\n",
        "[http]\nworkers = [1]\n",
        "[http]\nhost = 7\n",
        "[http]\ntrusted_proxies = [1]\n",
        "[collect]\ndeadline = true\n",
        "[plugins]\ndisabled = [1]\n",
        "[database]\ndirectory = 7\n",
        "http = 80\n",
    ],
)
def test_a_value_of_another_type_in_the_file_is_bad(toml: Path, text: str) -> None:
    toml.write_text(text)
    assert len(problems(toml, {})) == 1


@pytest.mark.parametrize("text", [b"[http", b"\xff\xfe", b"[http]\nport = 1\nport = 2\n"])
def test_a_file_that_is_not_toml_is_one_line(toml: Path, text: bytes) -> None:
    toml.write_bytes(text)
    (line,) = problems(toml, {})
    assert str(toml) in line


def test_a_file_that_is_not_there_is_one_line(toml: Path, tmp_path: Path) -> None:
    assert problems(toml, {}) == [f"{toml}: No such file or directory"]
    assert problems(None, {"CATCHMENT_CONFIG": str(tmp_path)}) == [f"{tmp_path}: Is a directory"]


def test_a_bad_value_in_the_file_is_named_with_the_file(toml: Path) -> None:
    toml.write_text('[http]\nworkers = "two"\nhots = "x"\n')
    unknown, wrong = problems(toml, {})
    assert wrong == f"http.workers: 'two': expected a whole number (from {toml})"
    assert unknown == f"http.hots: unknown field; did you mean host? (from {toml})"


@pytest.mark.parametrize(
    "password", ["hun@ter2", "hun:ter2", "hun/ter2", "hunter2/@", "@hunter2", "hun%ter2", "a@hun/ter:2?x"]
)
def test_a_raw_separator_in_the_database_s_password_is_refused_and_not_repeated(password: str) -> None:
    result = run("usage", "--json", CATCHMENT_DATABASE__URL=f"postgresql://catchment:{password}@127.0.0.1:5432/events")
    assert result.exit_code == 2
    assert "percent-encode" in result.stderr
    for part in ("hun", "ter", "2@", "/@"):
        assert part not in result.output.replace("characters", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE__URL", "mysql://u:hunter2@h/d"),
        ("DATABASE__URL", "postgresql://u:hunter2@h/d?nonsense=1"),
        ("DATABASE__URL", "postgresql://u:hunter2/d"),
        ("DATABASE__URL", "host=db user=u password=hunter2"),
        ("DATABASE__URL", "postgresql://u@h/d?pasword=hunter2"),
        ("DATABASE__PASSWORD", "hunter2"),
        ("DATABASE__DIRECTORY", "postgresql://u:hunter2@h/d"),
        ("HTTP__PUBLIC_URL", "https://u:hunter2@collect.example"),
        ("HTTP__HOST", "https://u:hunter2@collect.example"),
        ("HTTP__PORT", "postgresql://u:hunter2@h/d"),
        ("LOG__LEVEL", "password=hunter2"),
    ],
)
def test_a_secret_in_a_bad_value_is_not_repeated(name: str, value: str) -> None:
    assert "hunter" not in str(problems(None, {f"CATCHMENT_{name}": value}))


# which file


def test_the_file_of_the_machine_is_read_unless_another_one_is_named(toml: Path, tmp_path: Path) -> None:
    machine = tmp_path / "machine.toml"
    machine.write_text("[http]\nport = 1001\n")
    settings = load(None, {}, default=machine)
    assert (settings.http.port, settings.file, settings.file_words) == (1001, machine, f"settings: {machine}")
    toml.write_text("[http]\nport = 1002\n")
    for config, environment in ((str(toml), {}), (None, {"CATCHMENT_CONFIG": str(toml)})):
        assert load(config, environment, default=machine).http.port == 1002
    none = load(None, {"CATCHMENT_CONFIG": ""}, default=machine)
    assert (none, none.file_words) == (Settings(), "no settings file")
    assert load(None, {}, default=tmp_path / "nowhere" / "x.toml").file is None


def test_a_file_of_the_machine_that_can_t_be_read_is_an_error_and_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "catchment.toml").mkdir()
    with pytest.raises(BadSettings, match=r"catchment\.toml: Is a directory"):
        load(None, {}, default=tmp_path / "catchment.toml")
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    with pytest.raises(BadSettings, match=r"loop\.toml: Too many levels"):
        load(None, {}, default=loop)


# the command


def test_bad_settings_stop_every_command_with_exit_code_2_and_a_line_each() -> None:
    bad = {"CATCHMENT_HTTP__PORT": "http", "CATCHMENT_HTTP__SPEED": "fast"}
    for words in (["serve"], ["migrate"], ["account", "list"], ["config", "show", "--json"], ["demo", "--check"]):
        result = run(*words, **bad)
        assert result.exit_code == 2
        lines = result.stderr.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("catchment: http.") for line in lines)
        if "--json" in words:
            assert json.loads(result.stdout)["error"]["code"] == "bad_settings"
        else:
            assert result.stdout == ""


def test_the_settings_are_shown_as_they_are(toml: Path) -> None:
    toml.write_text("[http]\nport = 8081\n")
    result = run("--config", str(toml), "config", "show", "--json", CATCHMENT_HTTP__WORKERS="2")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert (shown["http"]["port"], shown["http"]["workers"]) == (8081, 2)
    assert shown["limits"]["batch_events"] == 1000
    assert {"database", "http", "collect", "limits", "plugins", "log"} <= set(shown)
    assert shown["settings_file"] == str(toml)
    sources = shown["sources"]
    assert (sources["http.port"], sources["http.workers"]) == (str(toml), "CATCHMENT_HTTP__WORKERS")
    assert sources["limits.batch_events"] == "default"
    text = run("--config", str(toml), "config", "show", CATCHMENT_HTTP__WORKERS="2").stdout.splitlines()
    assert text[0] == f"# settings: {toml}"
    assert [line.partition("  # ")[2] for line in text if line.startswith(("port", "workers", "host"))] == [
        "default",
        str(toml),
        "CATCHMENT_HTTP__WORKERS",
    ]


def test_what_is_shown_is_settings_again(toml: Path, tmp_path: Path) -> None:
    text = run("config", "show", CATCHMENT_HTTP__TRUSTED_PROXIES="10.0.0.0/8").stdout
    toml.write_text(text)
    environment = {"CATCHMENT_HTTP__TRUSTED_PROXIES": "10.0.0.0/8"}
    settings = load(None, environment)
    public = dataclasses.replace(settings.http, public_url=settings.public_url)
    assert load(str(toml), {}) == dataclasses.replace(settings, http=public)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://catchment:hunter2@db.example/events",
        "postgresql://db.example/events?user=catchment&password=hunter2",
        "postgres://catchment:hunter2@/events?host=/run/postgresql&sslpassword=hunter2",
        "postgresql://catchment:hun?ter2#hunter@db.example/events",
        "postgresql://catchment:hunter%32@db.example,other.example/events",
        "postgresql://catchment@db.example/events?options=-csearch_path%3Dhunter2&sslrootcert=/c",
        "postgresql://catchment:a%40hunter2%2F%3A@[::1]:5432,db.example/events",
        "postgresql://catchment@db.example/dbname%3Dx%20password%3Dhunter2",
    ],
)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_passwords_are_not_shown(address: str, as_json: tuple[str, ...]) -> None:
    result = run("config", "show", *as_json, CATCHMENT_DATABASE__URL=address)
    assert result.exit_code == 0
    assert "hunter" not in result.stdout
    assert "db.example" in result.stdout or "/run/postgresql" in result.stdout
    assert "catchment" in result.stdout


def test_secrets_of_plugins_are_not_shown(toml: Path) -> None:
    toml.write_text(
        '[plugins.billing]\napi_key = "hunter2"\nAuthToken = "hunter3"\nplace = "here"\n'
        '[plugins.billing.account]\npassword = "hunter4"\nname = "me"\n'
        '[[plugins.billing.more]]\nclient_secret = "hunter5"\n'
        '[plugins.other]\nendpoint = "https://me:hunter7@api.example/hunter8?sig=hunter9"\ndsn = "hunter10"\n'
        'hook = "https://hooks.example/services/hunter11"\nodd = "amqp://me:hun@ter/hunter12@host/"\n'
        'lines = [["password=hunter13"], "Bearer hunter14", "me:hunter15@tcp(db)/x"]\n'
    )
    result = run("--config", str(toml), "config", "show", CATCHMENT_PLUGINS__BILLING__SECRET="hunter6")
    assert result.exit_code == 0
    for plain in ('"here"', '"me"', "api.example", "hooks.example"):
        assert plain in result.stdout
    assert "hunter" not in result.stdout


# plans


def test_plans_are_read_and_shown(toml: Path) -> None:
    toml.write_text(
        '[[plans.pro.quotas]]\nwindow = "month"\nsoft = 80_000\nhard = 100_000\ngrace = 3\n'
        '[[plans.pro.quotas]]\nwindow = "day"\nevents = "Click*"\nkeys = "browser"\nhard = 500\n'
        '[plans."open.2"]\nquotas = []\n'
    )
    settings = load(str(toml), {})
    assert {name: len(plan.quotas) for name, plan in settings.plans.items()} == {"pro": 2, "open.2": 0}
    shown = settings.shown()
    assert shown["plans"]["pro"]["quotas"] == [
        {"window": "month", "soft": 80_000, "hard": 100_000, "grace": 3},
        {"window": "day", "keys": "browser", "hard": 500, "events": "Click*"},
    ]
    assert shown["sources"]["plans.pro"] == str(toml)
    toml.write_text(run("--config", str(toml), "config", "show").stdout)
    assert load(str(toml), {}).plans == settings.plans


def test_every_mistake_in_a_plan_is_named_with_its_place(toml: Path) -> None:
    toml.write_text('[http]\nport = "x"\n[[plans.pro.quotas]]\nwindow = "week"\nhadr = 5\n[plans.free]\n')
    assert [line.partition(":")[0] for line in problems(toml, {})] == [
        "http.port",
        "plans.free.quotas",
        "plans.pro.quotas[0].hadr",
        "plans.pro.quotas[0].window",
    ]
    assert all(f"(from {toml})" in line for line in problems(toml, {}))
    assert problems(None, {"CATCHMENT_PLANS__PRO": "x"}) == [
        "plans.pro: expected a section with the key quotas, not a text (from CATCHMENT_PLANS__PRO)"
    ]
