"""A short whole provider, shown to whoever writes one. A test holds it to the check that every provider has to pass."""

from collections.abc import Mapping

_MANIFEST = """\
apiVersion: v1
kind: Provider
metadata: {name: note-team, version: 1.0.0, description: Notes in files}
capabilities:
  resourceTypeCapabilities:
    - type: note
      description: A file with a note.
      local: true  # it lives on the engine's machine
      operations:
        create: {workflow: write-note}
        update: {workflow: write-note}
        delete: {workflow: remove-note}
      params:
        type: object
        additionalProperties: false
        required: [text]
        properties:
          text: {type: string, maxLength: 200, description: What it says.}
          pin: {type: string, writeOnly: true, description: A secret.}
      outputs:
        - {name: path, description: The file.}
        - {name: key, secret: true}
      examples:
        - {text: hello}
workflows:
  - {name: write-note, file: workflows/write-note.yaml, category: provisioner}
  - {name: remove-note, file: workflows/remove-note.yaml, category: provisioner, operation: delete}
"""
_WRITE = """\
apiVersion: innominatus.io/v1
kind: Workflow
metadata: {name: write-note}
parameters:  # what the params of the type become
  - {name: text, type: string, required: true}
  - {name: pin, type: string, secret: true, default: ""}
steps:
  - name: write
    type: policy
    idempotent: true
    secretOutputs: [key]
    config:
      script: |
        note="$INNOMINATUS_PROVIDER_DATA/$INNOMINATUS_APPLICATION-$INNOMINATUS_RESOURCE"
        printf '%s' "$PARAM_TEXT" > "$note"
        echo "path=$note" >> "$INNOMINATUS_OUTPUT"
        echo "key=key-$PARAM_PIN" >> "$INNOMINATUS_OUTPUT"
outputs:
  path: "{{ steps.write.outputs.path }}"
  key: {value: "{{ steps.write.outputs.key }}", secret: true}
"""
_REMOVE = """\
apiVersion: innominatus.io/v1
kind: Workflow
metadata: {name: remove-note}
steps:
  - name: remove
    type: policy
    idempotent: true  # what is gone already is no failure
    config:
      script: rm -f "$INNOMINATUS_PROVIDER_DATA/$INNOMINATUS_APPLICATION-$INNOMINATUS_RESOURCE"
"""
EXAMPLE: Mapping[str, str] = {
    "provider.yaml": _MANIFEST,
    "workflows/write-note.yaml": _WRITE,
    "workflows/remove-note.yaml": _REMOVE,
}
"""Its files by their paths."""
