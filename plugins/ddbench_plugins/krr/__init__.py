"""krr: kernel ridge regression with the NTK of an infinitely wide network in place of a student; one protocol each."""

from ddbench import Draft, ProtocolInfo, Standing, hookimpl

KERNELS = {
    "fc1": "one hidden ReLU layer",
    "fc3": "three hidden ReLU layers",
    "conv3": "three 3 × 3 convolutions, flattened",
    "convpool3": "KIP's network: three 3 × 3 convolutions with average pooling; 8 × 8 pixels, up to 50 images",
}
"""Kernel → its network."""


@hookimpl
def ddbench_register_protocols(registry: Draft[ProtocolInfo]) -> None:
    """Register one protocol for each kernel."""
    for kernel, network in KERNELS.items():
        registry.add(
            ProtocolInfo(
                name=f"krr-{kernel}",
                version=1,
                target="ddbench_plugins.krr.protocol:KRR",
                params="ddbench_plugins.krr.params:KRRParams",
                summary=f"kernel ridge regression, no network is trained; NTK of {network}",
                defaults={"kernel": kernel},
                labels="own",
                trains_student=False,
                students=(f"ntk-{kernel}",),
                standing=Standing(f"kernel ridge regression, {kernel}"),
            )
        )
