"""Holds events against the published schema of OCSF, of the version and with the profiles that each names.

It prints `{"ready": true}`, then obeys one JSON request per line: `check` answers with what is wrong with each event.
"""

from functools import cache

from jsonschema_rs import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded
from ocsf_json_schema import get_ocsf_schema

from lines import obey


@cache
def schema(version):
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version))


@cache
def validator(version, uid, profiles):
    published = schema(version)
    name = published.lookup_class_name_from_uid(class_uid=uid)
    return Draft202012Validator(published.get_class_schema(class_name=name, profiles=list(profiles)))


def faults(event):
    metadata = event["metadata"]
    found = validator(metadata["version"], event["class_uid"], tuple(metadata["profiles"])).iter_errors(event)
    return [f"{'/'.join(map(str, fault.instance_path))}: {fault.message}" for fault in found]


def check(events):
    return {"faults": [faults(event) for event in events]}


obey({"check": check})
