"""Random networks as the language writes them: mostly valid, small, and with a bit of everything.

The drawer keeps its own account of channels and pixels, with the textbook's formula for a window, so that what it draws mostly
fits; it knows nothing of the compiler. Where its account is wrong, or it draws something wild, the spec is refused, which is
also worth testing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

Spec = dict[str, Any]
Image = tuple[int, int, int]  # C, H, W
Values = list[tuple[str, Image]]  # values of the top level, by name

ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "silu",
    "gelu",
    "mish",
    "hardswish",
    "hardsigmoid",
    "sigmoid",
    "tanh",
    "hardtanh",
    "prelu",
    "selu",
    "softplus",
)
NORMS = ("batch_norm", "group_norm", "layer_norm")
JOINS = ("add", "subtract", "multiply", "concat")
MORE_KEEPING = (
    *("softmax", "log_softmax", "instance_norm", "local_response_norm"),
    *("scale", "channel_shuffle", "conv1d", "linear", "conv2d"),
)
MORE_CHANGING = (*("slice", "mean", "sum", "amax", "upsample", "pixel_shuffle", "pixel_unshuffle", "conv_transpose2d"),)
WINDOWS = ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "blur_pool2d", "pad")


def window(n: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Positions of a window: the formula of every textbook."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


@dataclass
class Drawer:
    """Draws parts of one spec. `serial` makes names unique."""

    draw: DrawFn
    serial: int = 0

    def name(self, stem: str) -> str:
        self.serial += 1
        return f"{stem}{self.serial}"

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(1, 100)) <= percent

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def number(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def written(self, n: int) -> Any:
        """A number as it is, or as an expression."""
        return self.one_of(n, n, f"{n + 1} - 1", f"min({n}, {n} + 2)", f"{n * 2} // 2", f"{n} if classes > 0 else 1")

    # --- operations ---------------------------------------------------------------------------------------------------

    def activation(self) -> Any:
        name = self.one_of("act", *ACTIVATIONS)
        fields: dict[str, Spec] = {
            "leaky_relu": {"negative_slope": 0.2},
            "elu": {"alpha": 0.5},
            "gelu": {"approximate": "tanh"},
            "hardtanh": {"min_val": self.one_of(-1, 0), "max_val": "3 / 2"},
            "prelu": {"num_parameters": "channels", "init_value": 0.1},
            "softplus": {"beta": 2.5, "threshold": 3},
        }
        return {"op": name, **fields[name]} if name in fields and self.chance(50) else name

    def noise(self) -> Spec:
        return {"op": self.one_of("dropout2d", "dropout", "drop_path"), "p": self.one_of(0, 0.1, "1 / 4")}

    def norm(self, x: Image) -> Any:
        name = self.one_of("norm", *NORMS)
        match name:
            case "batch_norm":
                return self.one_of(name, {"op": name, "affine": False}, {"op": name, "momentum": 0.3, "eps": 1e-3})
            case "group_norm":
                groups = self.one_of(*[d for d in divisors(x[0]) if d < x[0]] or [1])
                return {"op": name, "num_groups": groups, "affine": self.chance(70)}
            case "layer_norm":
                return self.one_of(name, {"op": name, "bias": False}, {"op": name, "elementwise_affine": False})
        return name

    def keeping(self, x: Image) -> Any:
        """An operation that any image passes with its shape unchanged."""
        kind = self.one_of("norm", "act", "act", "conv", "depthwise", "pool", "noise", "identity", "blur", "pad")
        match kind:
            case "norm":
                return self.norm(x)
            case "act":
                return self.activation()
            case "conv":
                mode = self.one_of("zeros", "replicate", "circular")
                return {"op": "conv2d", "out_channels": "channels", "kernel_size": 3, "padding": 1, "padding_mode": mode}
            case "depthwise":
                fields = {"out_channels": "channels", "kernel_size": self.one_of(1, 2, 3, [3, 1]), "padding": "same"}
                return {"op": "conv2d", **fields, "groups": "channels", "dilation": self.number(1, 2)}
            case "pool":
                return {"op": self.one_of("max_pool2d", "avg_pool2d"), "kernel_size": 3, "stride": 1, "padding": 1}
            case "noise":
                return self.noise()
            case "blur":
                return {"op": "blur_pool2d", "stride": 1, "mode": "replicate"}
            case "pad":
                return {"op": "pad", "padding": [0, 0, 0, 0]}
        return "identity"

    def further_keeping(self, channels: int) -> Any:
        """Further operations that keep the shape of an image; `channels` of 1 divides any number of channels."""
        name = self.one_of(*MORE_KEEPING)
        groups = self.one_of(*divisors(channels))
        match name:
            case "softmax":
                if groups > 1:
                    inner = self.one_of(*divisors(channels // groups))
                    return {"op": name, "over": "groups", "groups": groups, "cardinality": inner}
                return {"op": name, "over": self.one_of("channels", "pixels")}
            case "log_softmax":
                return {"op": name, "over": self.one_of("channels", "pixels")}
            case "instance_norm":
                return {"op": name, "affine": self.chance(50), "track_running_stats": self.chance(50)}
            case "local_response_norm":
                return {"op": name, "size": self.number(1, 5), "alpha": 0.01}
            case "scale":
                return {"op": name, "init_value": 0.5, "tensor_shape": self.one_of("vector", "map")}
            case "channel_shuffle":
                return {"op": name, "groups": groups}
            case "conv1d":
                return {"op": name, "kernel_size": 3, "padding": 1, "bias": self.chance(50)}
            case "linear":
                return {"op": name, "out_features": "channels", "over": "channels", "bias": self.chance(50)}
            case "conv2d":
                fields = {"out_channels": "channels", "kernel_size": 3, "padding": 1, "bias": self.chance(50)}
                return {"op": name, **fields, "weight_standardization": True}
        return name

    def further_changing(self, x: Image) -> tuple[Any, Image]:
        """Further operations that may change the shape of an image, and the shape they give."""
        c, h, w = x
        name = self.one_of(*MORE_CHANGING)
        match name:
            case "slice":
                start = self.number(0, c - 1)
                stop = self.number(start + 1, c)
                return {"op": name, "start": start, "stop": self.written(stop)}, (stop - start, h, w)
            case "mean" | "sum" | "amax":
                over = "channels" if h * w == 1 or self.chance(80) else "pixels"
                return {"op": name, "over": over}, (1, h, w) if over == "channels" else (c, 1, 1)
            case "upsample":
                mode, tall, wide = self.one_of("nearest", "nearest-exact", "bilinear", "bicubic"), h, w
                op: Spec = {"op": name, "mode": mode}
                if h * w < 200 and self.chance(60):
                    factors = [self.number(1, 2), self.number(1, 2)]
                    op["scale_factor"] = factors
                    tall, wide = h * factors[0], w * factors[1]
                else:
                    tall, wide = self.number(1, 9), self.number(1, 9)
                    op["size"] = [tall, wide]
                if not mode.startswith("nearest"):
                    op["align_corners"] = self.chance(40)
                return op, (c, tall, wide)
            case "pixel_shuffle":
                factor = self.one_of(*[r for r in (1, 2) if c % r**2 == 0])
                return {"op": name, "upscale_factor": factor}, (c // factor**2, h * factor, w * factor)
            case "pixel_unshuffle":
                factor = self.one_of(*[r for r in (1, 2, 3) if h % r == w % r == 0])
                return {"op": name, "downscale_factor": factor}, (c * factor**2, h // factor, w // factor)
        k, s, d = self.number(1, 3), self.number(1, 2), self.number(1, 2)
        more = self.number(0, max(s, d) - 1)
        out, groups = self.one_of(*[(out, g) for out in (2, 4) for g in divisors(c) if out % g == 0])
        fields = {"out_channels": out, "kernel_size": k, "stride": s, "dilation": d, "output_padding": more, "groups": groups}
        tall, wide = ((n - 1) * s + d * (k - 1) + 1 + more for n in (h, w))
        return {"op": "conv_transpose2d", **fields, "bias": self.chance(50)}, (out, tall, wide)

    def further(self, x: Image, count: int) -> tuple[Spec, Image]:
        """Further operations in order."""
        ops: Spec = {}
        for _ in range(count):
            if self.chance(40):
                op, x = self.further_changing(x)
            else:
                op = self.further_keeping(x[0])
            ops[self.name("more")] = op
        return ops, x

    def changing(self, x: Image) -> tuple[Any, Image]:
        """An operation that may change the shape, and the shape it gives."""
        c, h, w = x
        match self.one_of(*WINDOWS, "conv2d", "linear"):
            case "conv2d":
                out, groups = self.number(1, 4) * 2, 1
                if self.chance(30):
                    groups = self.one_of(*[g for g in divisors(c) if out % g == 0])
                k, s, d = self.one_of(1, 3, 3, 5), self.number(1, 2), self.one_of(1, 1, 2)
                p = d * (k // 2)
                tall, wide = window(h, k, s, p, d), window(w, k, s, p, d)
                fields = {"out_channels": self.written(out), "kernel_size": k, "stride": s, "padding": p, "dilation": d}
                return {"op": "conv2d", **fields, "groups": groups, "bias": self.chance(50)}, (out, tall, wide)
            case "max_pool2d":
                k, s = self.number(1, 3), self.number(1, 3)
                p = self.number(0, k // 2)
                fields = {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": self.chance(30)}
                return {"op": "max_pool2d", **fields}, (c, window(h, k, s, p), window(w, k, s, p))
            case "avg_pool2d":
                k = self.number(1, 2)
                fields = {"kernel_size": [k, 1], "ceil_mode": self.chance(30), "count_include_pad": self.chance(50)}
                return {"op": "avg_pool2d", **fields}, (c, window(h, k, k, 0), w)
            case "adaptive_avg_pool2d":
                size = self.number(2, 6)
                return {"op": "adaptive_avg_pool2d", "output_size": size}, (c, size, size)
            case "adaptive_max_pool2d":
                tall, wide = self.number(2, 6), self.number(2, 6)
                return {"op": "adaptive_max_pool2d", "output_size": [tall, wide]}, (c, tall, wide)
            case "blur_pool2d":
                k = self.number(2, 4)
                p = (2 - 1 + k - 1) // 2
                fields = {"kernel_size": k, "mode": "reflect" if p < min(h, w) else "constant"}
                return {"op": "blur_pool2d", **fields}, (c, window(h, k, 2, p), window(w, k, 2, p))
            case "pad":
                left, top, before = self.number(0, 2), self.number(0, 1), self.number(0, 1)
                mode = self.one_of("constant", "replicate", "circular") if left < w else "constant"
                padding = [left, 0, top, 0] + ([before, 1] if mode == "constant" else [])
                return {"op": "pad", "padding": padding, "mode": mode}, (c + sum(padding[4:]), h + top, w + left)
        out = self.number(2, 6)
        return {"op": "linear", "out_features": out}, (c, h, out)

    def sequence(self, x: Image, count: int, percent: int) -> tuple[Spec, Image]:
        """Operations in order, each with a chance of changing the shape."""
        ops: Spec = {}
        for _ in range(count):
            if self.chance(percent):
                op, x = self.changing(x)
            else:
                op = self.keeping(x)
            if self.chance(8):
                op = {**(op if isinstance(op, dict) else {"op": op}), "if": self.one_of(True, "classes > 0", "1 < 2")}
            ops[self.name(f"{op['op'] if isinstance(op, dict) else op}_")] = op
        if ops and self.chance(15):
            inner = {str(number): op for number, op in enumerate(ops.values())}
            ops = {self.name("seq"): {"op": "sequential", "ops": inner}}
        return ops, x

    # --- blocks -------------------------------------------------------------------------------------------------------

    def own_block(self, kind: str) -> Spec:
        """A block of the spec's own that gives `width` channels and divides the size by `stride`."""
        x = (4, 8, 8)  # any image: only operations that keep the shape are drawn
        conv = {"op": "conv2d", "out_channels": "width", "kernel_size": 3, "stride": "stride", "padding": 1}
        pool = {"op": "avg_pool2d", "kernel_size": 1, "stride": "stride", "from": "input"}
        block: Spec = {"args": ["width"], "defaults": {"stride": 1, "p": 0.1}, "out_channels": "width"}
        match kind:
            case "residual":
                block["branch"] = {"conv_a": conv, "norm_a": "norm", **self.keepers(x, 2)}
                block["let"] = {"project": "stride != 1 or in_channels != out_channels"}
                block["shortcut"] = {"down": {"op": "projection", "if": "project", "width": "width", "stride": "stride"}}
                block["join"] = self.one_of(
                    "add", "subtract", "multiply", {"op": "add", "if": self.one_of(True, "not project", "first")}
                )
                block["after"] = self.keepers(x, self.number(0, 2))
            case "preact":
                block["branch"] = {"norm_a": "norm", "act_a": self.activation(), "conv_a": conv, **self.keepers(x, 1)}
                where = self.one_of("act_a", "norm_a", "input")
                down = {"op": "projection", "width": "width", "stride": "stride", "from": where}
                block["shortcut"] = {"down": {**down, "if": "stride > 1 or in_channels != width"}}
                block["join"] = "add"
            case "gate":
                gate = {"op": "adaptive_avg_pool2d", "output_size": 1}
                block["branch"] = {"conv_a": conv, **self.keepers(x, 1), "norm_a": "norm", "pool_a": gate, "gate_a": "sigmoid"}
                block["branch"]["out_a"] = {"op": "multiply", "from": self.one_of(["norm_a", "gate_a"], ["gate_a", "norm_a"])}
                if self.chance(50):
                    block["branch"] |= {"se": "squeeze_excite"}
            case "split":
                half = {**conv, "out_channels": "width // 2", "from": "input"}
                block["branch"] = {"left_a": half, "left_b": self.activation(), "right_a": half, "right_b": self.activation()}
                block["branch"]["both"] = {"op": "concat", "from": ["left_b", "right_b"]}
                block["out_channels"] = "width // 2 * 2"
                block["after"] = self.keepers(x, 1)
            case "dense":
                grown = {"op": "conv2d", "out_channels": "max(1, width // 2)", "kernel_size": 1}
                block["branch"] = {"conv_a": conv, "act_a": self.activation(), "grown": grown, "unused": {"op": "relu"}}
                block["branch"] |= {"last": {"op": self.one_of("norm", "act", "identity"), "from": "grown"}}
                block["shortcut"] = {"small": pool}
                block["join"] = "concat"
                block["out_channels"] = "in_channels + max(1, width // 2)"
                block["after"] = {"thin": {"op": "conv2d", "out_channels": "width", "kernel_size": 1}}
                del block["out_channels"]
            case "sums":
                block["branch"] = {"conv_a": conv, "act_a": self.activation(), "norm_a": {"op": "norm", "from": "conv_a"}}
                names = self.one_of(["conv_a", "act_a"], ["act_a", "act_a"], ["norm_a", "conv_a", "act_a"], ["norm_a", "act_a"])
                block["branch"] |= {
                    "joined": {"op": self.one_of("add", "add", "multiply"), "from": names},
                    "less": {"op": "subtract", "from": [*names[:1], "joined"]},
                    **self.keepers(x, 1),
                }
            case "halves":  # views of one value, of which only some are written over
                block["branch"] = {
                    "conv_a": {**conv, "out_channels": "width * 2"},
                    "left_a": {"op": "slice", "stop": "width", "from": "conv_a"},
                    "act_a": self.activation(),
                    "right_a": {"op": "slice", "start": self.one_of("width", "width // 2"), "from": "conv_a"},
                    "right_b": {"op": "slice", "stop": "width"},
                    "act_b": self.one_of("relu", self.activation()),
                    "joined": {
                        "op": self.one_of("add", "subtract", "multiply"),
                        "from": self.one_of(
                            ["left_a", "act_b"], ["act_a", "right_b"], ["act_a", "act_b"], ["right_b", "left_a"]
                        ),
                    },
                }
                block["after"] = {"shuffled": {"op": "channel_shuffle", "groups": self.one_of(1, "width // 2")}}
            case "spatial":  # a gate of one channel
                block["branch"] = {
                    "conv_a": conv,
                    "mean_a": {"op": "mean", "over": "channels"},
                    "max_a": {"op": "amax", "over": "channels", "from": "conv_a"},
                    "both_a": {"op": "concat", "from": ["mean_a", "max_a"]},
                    "gate_a": {"op": "conv2d", "out_channels": 1, "kernel_size": 3, "padding": 1},
                    "gate_b": "sigmoid",
                    "out_a": {"op": "multiply", "from": self.one_of(["conv_a", "gate_b"], ["gate_b", "conv_a"])},
                }
            case "uneven":  # the two sides agree on some sizes only
                pool = {"op": "avg_pool2d", "if": "stride == 2", "kernel_size": 2, "ceil_mode": self.chance(30)}
                block["branch"] = {"conv_a": conv, "norm_a": "norm"}
                block["shortcut"] = {"pool_a": pool, "down": {"op": "projection", "width": "width"}}
                block["join"] = self.one_of("add", "add", "multiply", "concat")
                if block["join"] == "concat":
                    block["out_channels"] = "width * 2"
            case "nested":
                block["branch"] = {
                    "inner": {"op": self.one_of("basic", "plain", "residual", "gate"), "width": "width", "stride": "stride"},
                    **self.keepers(x, 1),
                    "drop": {"op": "drop_path", "p": self.one_of("p", "p * block_index / block_count")},
                }
                block["shortcut"] = {
                    "inner_b": {"op": self.one_of("projection", "plain"), "width": "width", "stride": "stride"}
                }
                block["join"] = self.one_of("add", "subtract", "multiply")
        return block

    def keepers(self, x: Image, count: int) -> Spec:
        """Operations that keep the shape, in a block whose channels are not known here."""
        ops: Spec = {}
        for _ in range(count):
            op = self.keeping(x)
            if isinstance(op, dict) and op["op"] == "group_norm":
                op = {**op, "num_groups": 1}
            ops[self.name("op_")] = op
        return ops

    def stage(self, x: Image, blocks: Spec) -> tuple[Spec, Image]:
        depth, stride = self.number(1, 3), self.one_of(1, 1, 2)
        library = ["basic", "bottleneck", "plain", "basic_option_a"]
        kinds = [kind for kind in blocks if kind != "uneven"]
        block = self.one_of(*library, *kinds, *kinds)
        if x[1] % 2 == x[2] % 2 == 0 and self.chance(15):
            block, stride = "uneven", 2
        width = self.number(1, 4) * 2
        if block == "basic_option_a":
            width = max(width, x[0])
        doubled = block in blocks and blocks[block].get("out_channels") == "width * 2"
        given = width * 4 if block == "bottleneck" else width * 2 if doubled else width
        stage: Spec = {"width": self.written(width), "depth": depth, "block": block}
        if stride != 1 or self.chance(30):
            stage["stride"] = stride
        if depth > 1 and self.chance(20):
            stage["stride"] = [stride] + [1] * (depth - 1)
        if block in kinds and self.chance(30):
            stage["p"] = self.one_of(0.2, "block_index / block_count", [0.1] * depth)
        if block == "bottleneck" and self.chance(30):
            stage |= {"groups": 2, "base_width": 32, "dilation": self.one_of(1, 2)}
        if block == "basic" and self.chance(20):
            stage["project"] = self.one_of("stride != 1 or in_channels != out_channels", "first", True)
        return stage, (given, -(-x[1] // stride), -(-x[2] // stride))

    # --- the network --------------------------------------------------------------------------------------------------

    def head(self, x: Image) -> Spec:
        ops, x = self.sequence(x, self.number(0, 2), 20)
        fc = {"op": "linear", "out_features": "classes", "bias": self.chance(70)}
        noise = {"op": "dropout", "p": 0.2} if self.chance(40) else self.activation()
        match self.one_of("none", "pool", "pool", "flat", "rows", "conv", "mean"):
            case "pool":
                pool = {"op": self.one_of("adaptive_avg_pool2d", "adaptive_max_pool2d"), "output_size": self.number(1, 2)}
                return {**ops, "pool": pool, "flat": "flatten", "noise": noise, "fc": fc}
            case "flat":
                return {**ops, "flat": {"op": "flatten", "end_dim": 3}, "norm_last": self.one_of(*NORMS[::2]), "fc": fc}
            case "rows":
                return {**ops, "flat": {"op": "flatten", "start_dim": 2}, "norm_last": self.one_of(*NORMS[::2]), "fc": fc}
            case "mean":
                mean = {"op": self.one_of("mean", "sum", "amax"), "over": "pixels", "keepdim": False}
                across = {"op": "conv1d", "kernel_size": 3, "padding": 1}
                return {**ops, "mean": mean, "across": across, "noise": noise, "fc": fc}
            case "conv":
                return {**ops, "conv_last": {"op": "conv2d", "out_channels": "classes", "kernel_size": 1}}
        return ops

    def network(self, least: int, most: int) -> Spec:
        x: Image = (self.number(1, 4), self.number(least, most), self.number(least, most))
        image = x
        kinds = [
            "residual",
            "gate",
            *self.one_of(
                ("preact", "split"), ("dense", "sums"), ("nested", "split"), ("nested", "dense"), ("halves", "spatial")
            ),
            "uneven",
        ]
        spec: Spec = {"spec": 1, "name": "random", "input": "x".join(map(str, x)), "classes": self.number(2, 5)}
        spec["blocks"] = {kind: self.own_block(kind) for kind in kinds}
        spec["norm"] = self.one_of("batch_norm", "layer_norm", "identity", {"op": "group_norm", "num_groups": 1})
        spec["act"] = self.activation_role()
        spec["stem"], x = self.sequence(x, self.number(1, 4), 50)
        spec["stem"] |= {self.name("op_"): self.activation() for _ in range(3)}
        if self.chance(50):
            spec["stem"] |= {self.name("noise"): self.noise()}
        if self.chance(80):
            more, x = self.further(x, self.number(2, 6))
            spec["stem"] |= more
        if self.chance(10):
            name, fields = self.draw(wild_operations())
            spec["stem"]["wild"] = {"op": name, **fields}
        made: Values = [("input", image), (next(reversed(spec["stem"])), x)]
        stages: Spec = {}
        for number in range(self.number(1, 3)):
            stages[f"layer{number}"], x = self.stage(x, spec["blocks"])
            if self.chance(20):
                stages[f"layer{number}"]["act"] = self.activation_role()
            made.append((f"layer{number}", x))
            if self.chance(50):
                between, x = self.sequence(x, self.number(1, 2), 30)
                stages |= between
                made.append((next(reversed(stages)), x))
        if self.chance(40):
            crossing, x = self.crossing(x, made)
            stages |= crossing
            made.append((next(reversed(stages)), x))
        spec["stages"] = stages
        spec["head"] = self.head(x)
        if self.chance(30):
            self.add_outputs(spec, made)
        if self.chance(30):
            self.group(spec)
        return spec

    # --- connections across stages -------------------------------------------------------------------------------------

    def crossing(self, x: Image, made: Values) -> tuple[Spec, Image]:
        """Entries that read an earlier value, and join it with the last one."""
        name, (c, h, w) = self.one_of(*made)
        last = made[-1][0]
        if not h * w <= 400 or name == last:
            return {"cross": {"op": "identity", "from": name}}, (c, h, w)
        up: Spec = {"op": "upsample", "like": name, "mode": self.one_of("nearest", "bilinear"), "from": last}
        match self.one_of("concat", "add", "side", "stage", "same"):
            case "concat":
                order = self.one_of(["up", name], [name, "up"])
                return {"up": up, "cross": {"op": "concat", "from": order}}, (c + x[0], h, w)
            case "add":
                fit = {"op": "conv2d", "out_channels": x[0], "kernel_size": 1, "from": name}
                joined = {"op": self.one_of("add", "subtract", "multiply"), "from": ["fit", "up"]}
                return {"fit": fit, "up": up, "cross": joined}, (x[0], h, w)
            case "side":  # an entry that is absent passes on what its `else` names
                absent = {"op": "relu", "if": self.one_of(False, "classes < 0"), "else": name}
                return {"up": up, "absent": absent, "cross": {"op": "concat", "from": ["absent", "up"]}}, (c + x[0], h, w)
            case "stage":
                stage = {"block": "plain", "width": 4, "from": name, "names": "b{index + 1}", "depth": self.number(1, 2)}
                return {"side": {**stage, "inline": self.chance(50)}}, (4, h, w)
        return {"same": {"op": "tanh", "from": last}, "cross": {"op": "add", "from": ["same", last]}}, x

    def add_outputs(self, spec: Spec, made: Values) -> None:
        """Name several outputs; one may be for training only."""
        names = [name for name, _ in made if name != "input"]
        chosen = list(dict.fromkeys([self.one_of(*names), self.one_of(*names)]))
        spec["outputs"] = {f"out{number}": name for number, name in enumerate(chosen)}
        spec["head"]["extra"] = {"op": "mean", "over": "channels", "from": names[0]}
        spec["outputs"]["extra"] = {"from": "extra", "training_only": self.chance(60)}

    def group(self, spec: Spec) -> None:
        """Put the stem, and perhaps the first of the head, into a group."""
        numbered = not any(name.isdigit() for name in (*spec["stem"], *spec["head"])) and self.chance(70)
        named = set(spec["stem"])
        spec["stem"] = {"grouped": {"stages": spec["stem"], **({"numbered": True} if numbered else {})}}
        if spec["head"] and self.chance(50):
            first = next(iter(spec["head"]))
            if "from" not in (spec["head"][first] if isinstance(spec["head"][first], dict) else {}):
                moved = {"grouped": {"stages": {first: spec["head"].pop(first)}}}
                spec["head"] = {**moved, **spec["head"]}
                named.add(first)

        def renamed(value: Any) -> Any:
            return f"grouped.{value}" if isinstance(value, str) and value in named else value

        for entry in (*spec["stages"].values(), *spec["head"].values(), *spec.get("outputs", {}).values()):
            for key in ("from", "like", "else") if isinstance(entry, dict) else ():
                if key in entry:
                    value = entry[key]
                    entry[key] = [renamed(each) for each in value] if isinstance(value, list) else renamed(value)
        if "outputs" in spec:
            spec["outputs"] = {key: renamed(value) for key, value in spec["outputs"].items()}

    def activation_role(self) -> Any:
        return self.one_of("relu", "relu", "silu", "relu6", {"op": "leaky_relu", "negative_slope": 0.1})


@st.composite
def random_specs(draw: DrawFn, least: int = 8, most: int = 20) -> Spec:
    """Whole networks for images of `least` to `most` pixels."""
    return Drawer(draw).network(least, most)


@st.composite
def wild_operations(draw: DrawFn) -> tuple[str, Spec]:
    """One operation with a geometry that may well be refused: its name, and the fields it writes."""
    d = Drawer(draw)
    name = d.one_of(
        *("conv2d", "conv2d", "max_pool2d", "avg_pool2d", "group_norm", "pad", "blur_pool2d", "linear", "flatten"),
        *("group_norm", "pad"),
        *("conv_transpose2d", "slice", "softmax", "pixel_shuffle", "pixel_unshuffle", "conv1d", "prelu", "instance_norm"),
    )
    pair = st.one_of(st.integers(1, 7), st.lists(st.integers(1, 7), min_size=2, max_size=2))
    padding = st.one_of(st.integers(0, 5), st.lists(st.integers(0, 5), min_size=2, max_size=2))
    match name:
        case "conv2d":
            fields: Spec = {"out_channels": d.number(1, 6), "kernel_size": draw(pair), "stride": d.number(1, 3)}
            fields |= {"padding": draw(padding), "dilation": d.number(1, 3), "groups": d.number(1, 3)}
            return name, {**fields, "padding_mode": d.one_of("zeros", "reflect", "replicate", "circular")}
        case "max_pool2d":
            fields = {"kernel_size": draw(pair), "stride": draw(pair), "padding": draw(padding)}
            return name, {**fields, "dilation": d.number(1, 2), "ceil_mode": d.chance(50)}
        case "avg_pool2d":
            return name, {"kernel_size": draw(pair), "padding": draw(padding), "ceil_mode": d.chance(50)}
        case "group_norm":
            return name, {"num_groups": d.number(1, 6)}
        case "pad":
            numbers = draw(st.sampled_from([2, 4, 6]).flatmap(lambda n: st.lists(st.integers(0, 6), min_size=n, max_size=n)))
            return name, {"padding": numbers, "mode": d.one_of("constant", "reflect", "replicate", "circular")}
        case "blur_pool2d":
            return name, {"kernel_size": d.number(2, 9), "stride": d.number(1, 3), "mode": d.one_of("reflect", "constant")}
        case "linear":
            return name, {"out_features": d.number(1, 6), "over": d.one_of("features", "features", "channels")}
        case "conv_transpose2d":
            fields = {"out_channels": d.number(1, 6), "kernel_size": draw(pair), "stride": d.number(1, 3)}
            fields |= {"padding": draw(padding), "dilation": d.number(1, 3), "output_padding": d.number(0, 3)}
            return name, {**fields, "groups": d.number(1, 3)}
        case "slice":
            return name, {"start": d.number(0, 5), "stop": d.number(1, 8)}
        case "softmax":
            return name, {"over": d.one_of("groups", "pixels"), "groups": d.number(1, 4), "cardinality": d.number(1, 2)}
        case "pixel_shuffle":
            return name, {"upscale_factor": d.number(1, 3)}
        case "pixel_unshuffle":
            return name, {"downscale_factor": d.number(1, 3)}
        case "conv1d":
            return name, {"kernel_size": d.number(1, 7), "padding": d.number(0, 2)}
        case "prelu":
            return name, {"num_parameters": d.number(1, 6)}
        case "instance_norm":
            return name, {"affine": d.chance(50), "track_running_stats": d.chance(50)}
    return name, {"start_dim": d.number(1, 3), "end_dim": d.number(-2, 3)}
