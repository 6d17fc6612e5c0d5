"""A policy's archive, unpacked on a real machine, and converged there by its own script with a real client."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.policy import of
from infra.spec.load import load
from tests.bed import Bed, Machine
from tests.chef import client

pytestmark = pytest.mark.skipif(bool(client.missing()), reason=client.missing())

LAB = """\
version: 1
cluster: lab
profiles:
  first: {run_list: ["recipe[desk]"], attributes: {desk: {notes: {a: one, b: two}}}}
  second: {run_list: ["recipe[desk]"], attributes: {desk: {notes: {a: one}}}}
  broken: {run_list: ["recipe[desk]"], attributes: {desk: {notes: {a: one}, broken: true}}}
  torn: {run_list: ["recipe[torn]"]}
"""
RECIPE = """\
notes = (node['desk'] || {})['notes'] || {}
(Dir.glob('/srv/notes/*') - notes.keys.map { |name| "/srv/notes/#{name}" }).each do |path|
  file(path) { action :delete }
end
directory '/srv/notes'
notes.each { |name, text| desk_note(name) { text text } }
execute 'read it back' do
  command 'echo the reason is this >&2; echo https://ada:hunter2@lab/; exit 3'
  only_if { node['desk']['broken'] }
end
"""
RESOURCE = """\
provides :desk_note
unified_mode true
property :text, String
action :create do
  file("/srv/notes/#{new_resource.name}") { content new_resource.text }
end
"""


@dataclass
class Desk:
    """A machine, and the file whose profiles it converges to."""

    machine: Machine
    lab: Path

    def converge(self, profile: str, *words: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """The report, and what was said on stderr."""
        policy = of(load(self.lab), profile)
        place = f"/var/lib/infra/policy/{policy.digest}"
        tar = self.lab.with_name(f"{profile}.tar")
        tar.write_bytes(policy.archive())
        self.machine.put(tar, "/root/policy.tar")
        self.machine.run(f"mkdir -p {place} && tar -xf /root/policy.tar -C {place}")
        command = f"{place}/bin/converge --client {client.find()} {' '.join(words)}"
        done = self.machine.run(command, check=False, timeout=300, env={"CHEF_LICENSE": "accept-silent"})
        assert done.code == code, done.out + done.err
        name = "why-run" if "--why-run" in words else "report"
        report = json.loads(self.machine.get(f"/var/lib/infra/{name}.json"))
        assert report["digest"] == policy.digest and report["exit"] == code
        return report, done.err


@pytest.fixture
def desk(bed: Bed, tmp_path: Path) -> Desk:
    for name, recipe in (("desk", RECIPE), ("torn", "log 'a'\nif true\n")):
        (tmp_path / f"chef/cookbooks/{name}/recipes").mkdir(parents=True)
        (tmp_path / f"chef/cookbooks/{name}/metadata.rb").write_text(f"name '{name}'\nversion '1.0.0'\n")
        (tmp_path / f"chef/cookbooks/{name}/recipes/default.rb").write_text(recipe)
    (tmp_path / "chef/cookbooks/desk/resources").mkdir()
    (tmp_path / "chef/cookbooks/desk/resources/note.rb").write_text(RESOURCE)
    (tmp_path / "cluster.yaml").write_text(LAB)
    return Desk(bed.start(1, layers=[client.layer()])[0], tmp_path / "cluster.yaml")


def resources(report: dict[str, Any]) -> list[str]:
    return [item["resource"] for item in report["updated"] if item["depth"] == 0]


def test_a_machine_follows_its_policy(desk: Desk) -> None:
    would, _ = desk.converge("first", "--why-run")
    assert desk.machine.run("ls /srv").out == ""
    assert {"directory[/srv/notes]", "desk_note[a]"} <= set(resources(would)) and would["why_run"]

    first, _ = desk.converge("first")
    assert resources(first) == ["directory[/srv/notes]", "desk_note[a]", "desk_note[b]"]
    assert (first["status"], first["updated_count"], first["failed"]) == ("converged", 3, None)
    inner = next(item for item in first["updated"] if item["resource"] == "file[/srv/notes/a]")
    assert inner["depth"] == 1 and inner["where"].endswith("/desk/resources/note.rb:5")

    again, _ = desk.converge("first")
    assert (again["updated_count"], again["updated"], again["total"]) == (0, [], 4)

    # An attribute that the policy has no more is gone from the machine: nothing of an earlier run is remembered.
    second, _ = desk.converge("second")
    assert resources(second) == ["file[/srv/notes/b]"]
    assert desk.machine.run("ls /srv/notes").out == "a\n"

    broken, said = desk.converge("broken", code=1)
    failed = broken["failed"]
    assert broken["status"] == "failed" and failed["resource"] == "execute[read it back]"
    assert (failed["cookbook"], failed["recipe"], failed["action"]) == ("desk", "default", "run")
    assert "the reason is this" in said and "hunter2" not in said and "hunter2" not in failed["message"]
    current = desk.machine.run("readlink /var/lib/infra/policy/current").out.strip()
    assert current == second["digest"]  # of what was reached, not of what failed

    torn, said = desk.converge("torn", code=1)
    assert torn["failed"]["where"].endswith("cookbooks/torn/recipes/default.rb") and "SyntaxError" in said

    # Chef keeps nothing of its own beside the cache: no node object, no key, no guid.
    places = "/root/.chef /root/.cinc /var/chef /etc/chef/chef_guid /etc/cinc/chef_guid"
    assert desk.machine.run(f"ls -d {places} 2>/dev/null || :").out == ""
    assert desk.machine.run("find /var/lib/infra/policy -newer /root/policy.tar -name '*.json'").out == ""
    assert desk.machine.run("ls /run/infra").out == "converge.lock\n"
