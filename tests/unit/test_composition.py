"""What the settings mean for the parts."""

import pytest

from ecs import composition
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.settings import Settings, SettingsError
from ecs.tasks.model import Profile, Resources
from tests.unit import builders


def test_what_a_request_may_ask_for_is_what_the_settings_say() -> None:
    settings = Settings(
        default_cpus=0.5, max_cpus=3, max_pids=300, profile="strict", max_timeout_seconds=120
    )

    rules = composition.request_rules(settings, engine_cpus=8)

    assert rules.default_resources == Resources(512 * builders.MIB, 0.5, 128)
    assert rules.max_resources == Resources(2048 * builders.MIB, 3, 300)
    assert (rules.default_timeout_seconds, rules.max_timeout_seconds) == (60, 120)
    assert rules.profile is Profile.STRICT


@pytest.mark.parametrize(("engine_cpus", "default"), [(8, 4.0), (2, 2.0)])
def test_without_a_maximum_of_cpus_the_engine_sets_it(engine_cpus: int, default: float) -> None:
    rules = composition.request_rules(Settings(default_cpus=4.0), engine_cpus)

    assert (rules.default_resources.cpus, rules.max_resources.cpus) == (default, engine_cpus)


def test_a_warm_image_without_a_tag_is_told_before_anything_starts() -> None:
    settings = Settings.model_validate({"warm_images": "busybox=2"})

    with pytest.raises(SettingsError, match=r"'busybox' \(ECS_WARM_IMAGES\).*name a tag"):
        composition._warm_rules(settings)


def test_a_warm_image_is_known_by_the_name_that_tasks_have_for_it() -> None:
    settings = Settings.model_validate({"warm_images": "busybox:1=2,docker.io/library/busybox:1=3"})

    assert composition._warm_rules(settings).named == {ImageReference.parse("busybox:1"): 5}
