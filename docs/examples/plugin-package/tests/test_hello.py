"""The plugin's tests: each runs a hook as the server would."""

from catchment.plugins.testkit import Filtered, Reason, check_plugin, run_hook, sample_event

import catchment_hello as plugin


def test_it_is_a_plugin() -> None:
    assert set(check_plugin(plugin)) == {
        "catchment_configure",
        "catchment_enrich",
        "catchment_locate",
        "catchment_validate",
    }


def test_it_greets() -> None:
    run = run_hook(plugin, "catchment_enrich", sample_event())
    assert [added.properties for added in run.result] == [{"greeting": "hello"}]
    assert run.warnings == ()


def test_the_greeting_is_a_setting() -> None:
    run = run_hook(plugin, "catchment_enrich", sample_event(), settings={"greeting": "good day"})
    assert run.result[0].properties == {"greeting": "good day"}


def test_it_refuses_a_name() -> None:
    refusal = run_hook(plugin, "catchment_validate", sample_event(name="Forbidden")).result
    assert (refusal.reason, refusal.code) == (Reason.REFUSED_BY_PLUGIN, "forbidden_name")


def test_it_leaves_noise_out() -> None:
    run = run_hook(plugin, "catchment_validate", sample_event(name="Noise"), name="hello")
    assert run.result == Filtered("plugin:hello:noise")


def test_it_lets_other_events_pass() -> None:
    assert run_hook(plugin, "catchment_validate", sample_event()).result is None


def test_it_knows_two_addresses() -> None:
    assert run_hook(plugin, "catchment_locate", "203.0.113.7").result.city == "Example City"
    assert run_hook(plugin, "catchment_locate", "127.0.0.1").result.city == "Localhost"
    assert run_hook(plugin, "catchment_locate", "81.2.69.160").result.country is None
