"""The audit: how a whole repository configures and loads its models, with the place that shows each statement.

`facts.audit` gathers an Audit, `report.report` says it in sections, and a module a format renders those.
"""
