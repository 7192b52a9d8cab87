"""How a command's help teaches: it ends with command lines that work."""


def examples(*lines: str) -> str:
    """Make the end of a command's help.

    Args:
        lines: whole command lines, each of which a test runs or parses.
    """
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
