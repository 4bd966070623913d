"""Grafana as code: dashboards, their data source, and the push to a running Grafana.

`dashboards.build` turns the dashboards (one module each) into deterministic JSON, checked in under
``built/``; `dashboards.push` brings them to a Grafana. What a panel shows is defined in the views
and functions of the database's schema ``grafana`` (migrations 0002 and later); a panel only selects
from them.
"""
