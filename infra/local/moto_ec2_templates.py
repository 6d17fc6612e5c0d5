"""EC2 launch templates: what moto adds, forgets or mixes up in their versions."""

from __future__ import annotations

import copy
from typing import Any

from infra.local.extensions import put, wrap

PAGE = 200


def template_tags() -> None:
    """The template's own tags belong to the template, not into its first version, where a plan would find them."""
    from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateBackend

    @wrap(LaunchTemplateBackend, "create_launch_template")
    def _(original: Any, self: Any, name: str, description: str, data: dict[str, Any], tag_spec: Any) -> Any:
        kept = [s for s in data.get("TagSpecifications", []) if s["ResourceType"] != "launch-template"]
        data = {k: v for k, v in data.items() if k != "TagSpecifications" and v is not None}
        return original(self, name, description, data | ({"TagSpecifications": kept} if kept else {}), tag_spec)

    def tags(self: Any) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.get_tags()
        return found

    # moto reads them once, at creation; CreateTags would never show
    put(LaunchTemplate, "tags", property(tags, lambda _self, _value: None))


def template_versions() -> None:
    """User data of later versions is kept in the type that moto's launches insist on; SourceVersion is honoured."""
    from moto.core.types import Base64EncodedString
    from moto.ec2.models.launch_templates import LaunchTemplate
    from moto.ec2.responses import EC2Response
    from moto.ec2.utils import parse_user_data

    @wrap(LaunchTemplate, "create_version")
    def _(original: Any, self: Any, data: dict[str, Any], description: str) -> Any:
        data = dict(data)
        if data.get("UserData") is not None and not isinstance(data["UserData"], Base64EncodedString):
            data["UserData"] = parse_user_data(data["UserData"])
        return original(self, data, description)

    @wrap(EC2Response, "create_launch_template_version")
    def _(original: Any, self: Any) -> Any:
        source = self._get_param("SourceVersion")
        if source:
            identity, name = self._get_param("LaunchTemplateId"), self._get_param("LaunchTemplateName")
            backend = self.ec2_backend
            template = backend.get_launch_template(identity) if identity else backend.get_launch_template_by_name(name)
            base = copy.deepcopy(template.get_version(source).data)
            self.params["LaunchTemplateData"] = base | self._get_param("LaunchTemplateData", {})
        return original(self)


def template_pages() -> None:
    """moto lists 15 templates and never says that there are more; AWS lists 200."""
    from moto.ec2.responses import EC2Response

    for name in ("describe_launch_templates", "describe_launch_template_versions"):

        @wrap(EC2Response, name)
        def _(original: Any, self: Any) -> Any:
            if not self._get_param("MaxResults"):
                self.params["MaxResults"] = PAGE
            return original(self)


PATCHES = (template_tags, template_versions, template_pages)
