"""Facility location: images to which every image of the class is like one (Mirchandani & Francis, 1990)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``facility_location``."""
    registry.add(
        MethodInfo(
            name="facility_location",
            kind="selection",
            target="ddbench_plugins.facility_location.method:FacilityLocation",
            params="ddbench_plugins.facility_location.params:FacilityLocationParams",
            summary="greedily keep images such that each gradient is like a kept one",
            paper=Paper(
                "Submodular Combinatorial Information Measures with Applications in Machine Learning",
                "ALT",
                2021,
                "https://arxiv.org/abs/2006.15412",
                ("Iyer, Rishabh", "Khargoankar, Ninad", "Bilmes, Jeff", "Asanani, Himanshu"),
            ),
            presets="presets.yaml",
        )
    )
