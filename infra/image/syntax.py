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
# A template is read as what ERB makes of it, which has one line more at the top.
PROGRAM = """
require 'erb'
STDIN.each_line(chomp: true) do |path|
  begin
    text = File.read(path, encoding: 'UTF-8')
    erb = path.end_with?('.erb')
    text = ERB.new(text, trim_mode: '-').src if erb
    RubyVM::InstructionSequence.compile(text, path, path, erb ? 0 : 1)
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
    sources = [str(path) for name, path in sorted(policy.sources.items()) if name.endswith((".rb", ".erb"))]
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
