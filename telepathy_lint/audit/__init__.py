"""The audit: how a repository configures and loads its models, with the source of each statement.

`facts.audit` collects an Audit, `report.report` converts it to sections, and one module per format renders
those.
"""
