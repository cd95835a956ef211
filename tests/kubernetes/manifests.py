#!/usr/bin/env python3
"""Reads and judges manifests.

    manifests.py json FILE…                      the documents of each YAML file as a JSON list, all in one list
    manifests.py validate VERSIONS CRDS FILE…    each document against the schemas of Kubernetes VERSIONS (1.31,1.37;
                                                 kubernetes-validate, strict) or, of a custom kind, of the definitions in the
                                                 folder CRDS; `-` leaves custom kinds unjudged

Prints one line for each document that is wrong, then fails. A kind that no schema knows is wrong, and so is a key that a
schema does not list.
"""

import copy
import functools
import json
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

# The groups whose kinds have schemas in CRDS.
CUSTOM_GROUPS = ("keda.sh", "monitoring.coreos.com")
# The one in C reads ten times as fast, where there is one.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def main():
    match sys.argv[1:]:
        case ["json", *files] if files:
            json.dump([documents(file) for file in files], sys.stdout)
        case ["validate", versions, crds, *files] if files:
            schemas = None if crds == "-" else custom_schemas(Path(crds))
            # It reads all definitions anew for each document.
            kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)
            found = ((file, document) for file in files for document in documents(file))
            judged = ((file, document, judge(document, versions.split(","), schemas)) for file, document in found)
            wrong = [f"{file}: {name(document)}: {why}" for file, document, why in judged if why]
            if wrong:
                sys.exit("\n".join(wrong))
        case _:
            sys.exit(__doc__)


def documents(file):
    with open(file) as stream:
        return [document for document in yaml.load_all(stream, LOADER) if document]


def name(document):
    return f"{document.get('kind')} {document.get('metadata', {}).get('name')}"


def judge(document, versions, schemas):
    """Why a document is wrong; nothing when it is right."""
    group, _, version = document["apiVersion"].rpartition("/")
    if group in CUSTOM_GROUPS:
        if schemas is None:
            return None
        schema = schemas.get((group, version, document["kind"]))
        return errors(document, schema) if schema else f"no schema of {document['apiVersion']} {document['kind']}"
    for version in versions:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            return f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            return error.message
    return None


def errors(document, schema):
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return "; ".join(f"{'.'.join(map(str, error.path))}: {error.message}" for error in found) or None


def custom_schemas(folder):
    """Strict schemas by group, version and kind."""
    schemas = {}
    for file in sorted(folder.glob("*.yaml")):
        for definition in documents(file):
            spec = definition["spec"]
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schemas[spec["group"], version["name"], spec["names"]["kind"]] = schema
    return schemas


def strict(schema):
    """A server drops keys that a schema does not list; here they are errors. `metadata` has a schema of its own."""
    schema = copy.deepcopy(schema)
    schema["properties"].pop("metadata", None)
    close(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def close(schema):
    if isinstance(schema, list):
        for part in schema:
            close(part)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("properties"), dict):
        for part in schema["properties"].values():
            close(part)
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema["additionalProperties"] = False
    for key in ("items", "additionalProperties", "allOf", "anyOf", "oneOf"):
        close(schema.get(key))


if __name__ == "__main__":
    main()
