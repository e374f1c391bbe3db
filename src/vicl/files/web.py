"""Asking addresses of others, and only by http and https."""

from __future__ import annotations

import urllib.request


def http_opener(redirects: urllib.request.HTTPRedirectHandler) -> urllib.request.OpenerDirector:
    """An opener of http and https only, after redirections too: no files of this machine, no ftp.

    Proxies come from the environment (`https_proxy`, `http_proxy`, `no_proxy`).

    Args:
        redirects: Decides which redirections are followed.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        redirects,
    ):
        opener.add_handler(handler)
    return opener
