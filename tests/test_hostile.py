"""Untrusted specs: each ends in a finding or in success, within two seconds of processor time and 500 MB.

Two seconds are those of a processor that adds a million numbers in 0.05 s; a slower one has more.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are set with the resource module")

LIMITS = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, (500_000_000, 500_000_000))
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
sys.argv = ["resnet-spec", *{arguments!r}]
runpy.run_module("resnet_spec", run_name="__main__")
"""


def add_a_million() -> float:
    """Seconds of processor time for a million additions."""
    began, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return time.process_time() - began


BESIDE_OTHERS = 1 if {"CI", "PYTEST_XDIST_WORKER"}.isdisjoint(os.environ) else 2  # a processor may be half as fast then
SECONDS = math.ceil(2 * BESIDE_OTHERS * max(1.0, min(add_a_million() for _ in range(3)) / 0.05))

HEAD = "spec: 1\ninput: 3x32x32\n"
CONV = "{op: conv2d, out_channels: 4, kernel_size: 1}"


def stem(*fields: str) -> str:
    return HEAD + "stem:\n" + "".join(f"  c{number}: {field}\n" for number, field in enumerate(fields))


def laughs(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return HEAD + "\n".join(lines) + "\n"


def merges(levels: int) -> str:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: v}}" for n in range(1, levels)]
    return HEAD + "\n".join(lines) + "\n"


def nested_anchors(levels: int) -> str:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, levels)]
    return HEAD + "\n".join(lines) + "\n"


def doubling(levels: int) -> str:
    blocks = "".join(f"  b{n}: {{branch: {{x: b{n + 1}, y: b{n + 1}}}}}\n" for n in range(levels))
    return HEAD + f"blocks:\n{blocks}  b{levels}: {{branch: {{x: relu}}}}\nstages: {{s: b0}}\n"


FILES = 6_000  # in the folder `parts`
LONG_KEY = f"  ? {'1' * 400_000}a\n  : relu\n"
STRIDES = (2, 3, 5, 7, 11, 13, 17, 19, 23)


def lines(form: str, count: int) -> str:
    return "".join(f"{form.format(number)}\n" for number in range(count))


CASES: dict[str, tuple[str | bytes, int]] = {
    "a hundred thousand brackets": (HEAD + "stem: " + "[" * 100_000, 1),
    "a hundred thousand braces": (HEAD + "stem: " + "{a: " * 100_000, 1),
    "deep block sequences": (HEAD + "stem:\n" + "".join(" " * n + "-\n" for n in range(1, 900)), 1),
    "a billion laughs": (laughs(12, 10), 1),
    "a merge-key bomb": (merges(40), 1),
    "anchors inside anchors": (nested_anchors(2_000), 1),
    "an alias of itself": (HEAD + "stem: &a [*a]\n", 1),
    "more than a megabyte": (HEAD + "#" * 1_100_000, 1),
    "more than fifty thousand values": (HEAD + "stem: [" + "1," * 60_000 + "]\n", 1),
    "a number of a hundred thousand digits": (HEAD + f"classes: {'9' * 100_000}\n", 1),
    "a key of a hundred thousand letters": (stem(CONV) + "x" * 100_000 + ": 1\n", 1),
    "a line of half a megabyte": (HEAD + f"about: {'w ' * 250_000}\nstem: {{c: {CONV}}}\n", 0),
    "NUL bytes": (b"spec: 1\nname: \x00\x00\n", 1),
    "not UTF-8": (b"spec: 1\nname: \xff\xfe\xfa\n", 1),
    "UTF-16": ("spec: 1\n".encode("utf-16"), 1),
    "control characters in quotes": (HEAD + f'name: "\\e]0;owned\\a\\e[31m"\nstem: {{c: {CONV}}}\n', 0),
    "a hundred thousand blocks": (HEAD + "block: plain\nstages: {s: {width: 4, depth: 100000}}\n", 1),
    "twenty thousand blocks": (HEAD + "block: {op: one}\nblocks: {one: {branch: {r: relu}}}\nstages: {s: {depth: 20000}}\n", 0),
    "2^31 blocks": (HEAD + "block: plain\nstages: {s: {width: 4, depth: 2147483647}}\n", 1),
    "blocks that double": (doubling(15), 1),
    "blocks that double for ever": (HEAD + "blocks: {b: {branch: {x: b, y: b}}}\nstages: {s: b}\n", 1),
    "a block inside itself, once false": (
        HEAD + "blocks: {b: {branch: {x: {op: b, if: false}}}}\nstem: {c: relu}\nstages: {s: b}\n",
        0,
    ),
    "more than 10^12 parameters": (stem(*(["{op: conv2d, out_channels: 2147483647, kernel_size: 1}"] * 3)), 1),
    "a kernel of 2^31": (stem("{op: conv2d, out_channels: 4, kernel_size: 2147483647, padding: 2147483647}"), 1),
    "a pool of 2^31": (stem("{op: max_pool2d, kernel_size: 2000000000, padding: 1000000000, stride: 1}"), 0),
    "strides that never repeat": (
        HEAD.replace("32x32", "900000000x900000000")
        + "stem:\n"
        + "".join(f"  p{s}: {{op: max_pool2d, kernel_size: {s}}}\n" for s in STRIDES)
        + "",
        0,
    ),
    "a product with many divisors": (
        HEAD.replace("32x32", "55440x55440") + "stem: {f: flatten, l: {op: linear, out_features: 2}}\n",
        0,
    ),
    "a long expression": (stem(f"{{op: conv2d, out_channels: {'1+' * 300}1, kernel_size: 1}}"), 1),
    "a deep expression": (stem(f"{{op: conv2d, out_channels: {'(' * 90}1{')' * 90}, kernel_size: 1}}"), 0),
    "a deep negation": (stem(f"{{op: conv2d, out_channels: {'-' * 150}1, kernel_size: 1}}"), 1),
    "a power tower": (stem("{op: conv2d, out_channels: 9**9**9**9, kernel_size: 1}"), 1),
    "a growing product": (stem("{op: conv2d, out_channels: 2147483647 * 2147483647, kernel_size: 1}"), 1),
    "a call of Python": (stem("{op: conv2d, out_channels: \"__import__('os').system('true')\", kernel_size: 1}"), 1),
    "a name that needs itself": (HEAD + "params: {a: b, b: a}\nstem: {c: {op: conv2d, out_channels: a, kernel_size: 1}}\n", 1),
    "a tag that constructs": (HEAD + "name: !!python/object/apply:os.system ['true']\n", 1),
    "a file of the system": ("spec: 1\nextends: /etc/passwd\n", 1),
    "a file far above": ("spec: 1\nextends: ../../../../../../etc/passwd\n", 1),
    "itself": ("spec: 1\nextends: hostile.yaml\n", 1),
    "thousands of stages at the top": ("spec: 1\nextends: resnet18\n" + lines("layer{}: {{width: 8}}", 3_000), 1),
    "thousands of operations at the top": ("spec: 1\nextends: resnet18\n" + lines("a{}: relu", 3_000), 1),
    "thousands of keys without a value": ("spec: 1\nextends: resnet18\nparams: {" + lines("a{},", 5_000) + "}\n", 1),
    "thousands of keys with their values": ("spec: 1\nextends: resnet18\nparams: {" + lines("a{}:1,", 5_000) + "}\n", 1),
    "thousands of unknown fields": ("spec: 1\nextends: resnet18\nhead: {fc: {" + lines("act{}: relu,", 5_000) + "}}\n", 1),
    "thousands of slips in expressions": ("spec: 1\nextends: resnet18\nparams:\n" + lines("  a{0}: n && {0} x 2", 5_000), 1),
    "thousands of stages without a width": ("spec: 1\nextends: resnet18\nstages:\n" + lines("  a{}: {{depth: 1}}", 3_000), 1),
    "thousands of joins without inputs": (
        "spec: 1\nextends: resnet18\nblocks:\n  b:\n    branch:\n" + lines("      a{}: add", 5_000) + "block: b\n",
        1,
    ),
    "thousands of operations without a name": ("spec: 1\nextends: resnet18\nstem:\n" + lines("  a{}: {{p: 0.1}}", 5_000), 1),
    "thousands of items of a list": ("spec: 1\nextends: resnet18\nstem:\n" + "  - relu\n" * 5_000, 1),
    "thousands of operations of other libraries": ("spec: 1\nextends: resnet18\nstem:\n" + lines("  a{}: Conv3d", 5_000), 1),
    "thousands of operations": (stem(*["relu"] * 10_000), 0),
    "sixteen thousand unknown names": (stem("relu") + "params:\n" + "".join(f"  a{n}: b{n}\n" for n in range(16_000)), 1),
    "sixteen thousand unknown keys": (stem("relu") + "".join(f"key{n}: 1\n" for n in range(16_000)), 1),
    "thousands of unknown operations": (stem(*(f"relo{n}" for n in range(10_000))), 1),
    "thousands of stages at the top of a spec without stages": (
        HEAD + "block: plain\n" + "".join(f"layer{n}: {{width: 4}}\n" for n in range(6_000)),
        1,
    ),
    "thousands of full-width lines": (HEAD + "stem:\n" + "".join(f"  c{n}\uff1a relu\n" for n in range(12_000)), 1),
    "thousands of slips": (stem("relu") + "params:\n" + "".join(f"  a{n}: {n} && 2\n" for n in range(8_000)), 1),
    "thousands of patches of nothing": (stem(*["{kernel_size: 3, out_channels: 4}"] * 6_000), 1),
    "thousands of entries without a value": (stem(*[""] * 12_000), 1),
    "keys of digits": (HEAD + "stem:\n" + LONG_KEY * 2, 1),
    "a word before a colon": (HEAD + f"stem: {{a: {'b' * 900_000}! : 2 : 3}}\n", 1),
    "blanks before a word": (HEAD + f'classes: "1{" " * 500_000}!"\nstem: {{c: {CONV}}}\n', 1),
    "ten thousand unknown functions": (stem("relu") + "params:\n" + "".join(f"  a{n}: f{n}(1)\n" for n in range(10_000)), 1),
    "thousands of arguments that are missing from thousands of uses": (
        f"{HEAD}blocks: {{b: {{args: [{', '.join(f'a{n}' for n in range(6_000))}], branch: {{r: relu}}}}}}\nstem:\n"
        + "".join(f"  u{n}: b\n" for n in range(6_000)),
        1,
    ),
    "thousands of files": (f"{HEAD}extends: [{', '.join(f'parts/{n}.yaml' for n in range(FILES))}]\n", 1),
    "one file by thousands of paths": (
        f"{HEAD}extends: [{', '.join('parts/' + './' * n + '0.yaml' for n in range(1_000))}]\n",
        1,
    ),
    "one file forty thousand times": (f"{HEAD}stem: {{r: relu}}\nextends: [{', '.join(['parts/0.yaml'] * 40_000)}]\n", 0),
}

OF_FILES = ("thousands of files", "one file by thousands of paths", "one file forty thousand times")


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_spec_ends_well(case: str, tmp_path: Path) -> None:
    text, expected = CASES[case]
    path = tmp_path / "hostile.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    if case in OF_FILES:
        (tmp_path / "parts").mkdir()
        for number in range(FILES):
            (tmp_path / "parts" / f"{number}.yaml").write_text(f"spec: 1\nparams: {{p{number}: 1}}\n")
    script = LIMITS.format(seconds=SECONDS, arguments=["check", "hostile.yaml"])
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    shown = ran.stdout.decode("utf-8") + ran.stderr.decode("utf-8")
    assert "Traceback" not in shown, shown[-2000:]
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert ran.returncode == expected, (ran.returncode, shown[:600])
    if expected:
        assert "error[" in shown
