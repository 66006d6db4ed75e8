"""Versions as Cargo and RUSTSEC write them: semver 2.0 ordering, and requirements joined by commas."""

import re

_VERSION = re.compile(
    r"^(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$"
)
_REQUIREMENT = re.compile(r"^(>=|<=|>|<|=|\^|~)?\s*(\S+)$")


def parse(text):
    """A sortable value of a version; ValueError if it is none."""
    match = _VERSION.match(text.strip())
    if not match:
        raise ValueError(f"not a version: {text!r}")
    numbers = tuple(int(part or 0) for part in match.groups()[:3])
    if match[4] is None:
        return numbers, (1,)  # a release comes after all its pre-releases (semver 2.0, 11.3)
    # Numbers compare as numbers and come before words (11.4).
    parts = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[4].split(".")
    )
    return numbers, (0, parts)


def _next(numbers, kind, given):
    """The first version beyond a caret's or a tilde's reach."""
    if kind == "~":
        at = 0 if given == 1 else 1
    else:
        at = next((index for index, number in enumerate(numbers[:given]) if number), given - 1)
    return tuple(n + 1 if i == at else (n if i < at else 0) for i, n in enumerate(numbers)), (1,)


def meets(version, requirement):
    """Whether a version meets a requirement such as `>= 1.2, < 2`; ValueError if it cannot be read."""
    value = parse(version)
    for part in requirement.split(","):
        match = _REQUIREMENT.match(part.strip())
        if not match:
            raise ValueError(f"not a requirement: {requirement!r}")
        kind, bound = match[1] or "^", parse(match[2])
        given = match[2].split("-")[0].count(".") + 1
        holds = {
            ">=": value >= bound,
            "<=": value <= bound,
            ">": value > bound,
            "<": value < bound,
            "=": value == bound,
            "^": bound <= value < _next(bound[0], "^", given),
            "~": bound <= value < _next(bound[0], "~", given),
        }[kind]
        if not holds:
            return False
    return True
