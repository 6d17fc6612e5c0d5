"""Ruby's own opinion of the cookbooks, before anything is launched: file and line of what cannot be read."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from infra import proc
from infra.errors import PolicyError, Problem
from infra.policy import Policy

DEADLINE = 120.0
# One process for all files: a Ruby of its own for each would take longer than the rest of a bake.
PROGRAM = """
STDIN.each_line(chomp: true) do |path|
  begin
    RubyVM::InstructionSequence.compile(File.read(path, encoding: 'UTF-8'), path, path)
  rescue SyntaxError => error
    puts "#{path}\\t#{error.message.lines.reject { |line| line.strip.empty? }.join.gsub(/\\s*\\n\\s*/, ' | ')}"
  end
end
"""


def check(policy: Policy) -> bool:
    """Raise PolicyError for Ruby that does not parse. False when there is no Ruby here to ask."""
    ruby = shutil.which("ruby")
    if ruby is None:
        return False
    sources = [str(path) for name, path in sorted(policy.sources.items()) if name.endswith(".rb")]
    done = proc.run(
        [ruby, "--disable-gems", "-W0", "-e", PROGRAM], deadline=DEADLINE, stdin="\n".join(sources), check=False
    )
    problems = [_problem(line) for line in done.out.splitlines() if "\t" in line]
    if problems:
        raise PolicyError(problems[0].what, problems=problems)
    return True


def _problem(line: str) -> Problem:
    path, _, message = line.partition("\t")
    found = re.search(re.escape(path) + r":(\d+)", message)
    words = message.replace(f"{path}:", "line ")
    return Problem(
        f"{Path(path).name} is not valid Ruby",
        where=f"{path}:{found[1]}" if found else path,
        why=words[:400],
        fix="mend it; nothing was started",
        rule="PolicyError",
    )
