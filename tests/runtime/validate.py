"""Holds SBOMs against the official validators: SPDX and NTIA's minimum elements, or CycloneDX. Prints what is wrong."""

import json
import sys

mistakes = 0


def wrong(path, what):
    global mistakes
    mistakes += 1
    print(f"{path}: {what}")


def spdx(path):
    from ntia_conformance_checker import SbomChecker
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    for message in validate_full_spdx_document(parse_file(path)):
        wrong(path, message.validation_message)
    checker = SbomChecker(path)
    if not checker.ntia_minimum_elements_compliant:
        wrong(path, "lacks minimum elements of NTIA:")
        checker.print_table_output()


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path, encoding="utf-8") as file:
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read())
    if error:
        wrong(path, error)


for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    (cyclonedx if "bomFormat" in document else spdx)(path)
sys.exit(1 if mistakes else 0)
