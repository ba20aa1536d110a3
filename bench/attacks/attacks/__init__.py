"""The attacks by name. Each module has NAME, SECONDS, SHARDS, HEALTHY (subscribers, messages a second), `run(context)`
that attacks and returns what it saw, and `checks(context, result)`: what must hold beyond what must always hold."""

from attacks import absent, announced, retained, stalled

ALL = {attack.NAME: attack for attack in (stalled, absent, retained, announced)}
