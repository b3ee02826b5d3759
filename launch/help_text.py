"""The text of --help."""

import textwrap

from absl import flags


def of_command(command: str, description: str | None, values: flags.FlagValues) -> str:
    """Returns the description of a command and its flags, those of one dataclass under its title."""
    lines = [f"python -m launch.{command} [--flag=value ...]", "", (description or "").strip()]
    groups = {}  # of flags by title; those of the command itself are defined in several modules
    for section, found in values.flags_by_module_dict().items():
        groups.setdefault(section if " " in section else "Flags of the command", []).extend(found)
    for title, found in groups.items():
        lines += ["", f"{title}:"]
        for flag in found:
            default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
            shown = "" if default in (None, "") else f" (default: {default})"
            text = f"--{flag.name}: {flag.help}{shown}"
            lines += textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="      ")
        if title == "Flags of the command":
            lines.append(
                "  --flagfile: file with one flag per line, or the name of one that ships, such as lanas_paper"
            )
    return "\n".join(lines)
